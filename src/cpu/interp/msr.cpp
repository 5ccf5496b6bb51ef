// RDMSR and WRMSR. Two switches are the list of what exists: MSRs with state of their own, and those that AMD CPUs of
// the announced family have and kernels touch without asking, which read as a constant and ignore writes. Sources: SDM
// volume 4, APM 2 appendix A, AMD family 19h PPR, Linux Documentation/virt/kvm/x86/msr.rst.
#include <array>
#include <atomic>
#include <optional>

#include "base/log.h"
#include "cpu/interp/system.h"
#include "vm/x86/msr.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr u64 kMtrrCapabilities = 8 | bit(8) | bit(10);  // 8 variable ranges, fixed ranges, WC
constexpr u64 kMtrrDefTypeWritable = 0xFF | bit(10) | bit(11);
constexpr u64 kMicrocodeRevision = u64{0x01000065} << 32;
constexpr u64 kMiscEnableReadOnly = 0x1880;
constexpr u64 kMiscEnableWritable = 0x400C50809;
constexpr u64 kEferWritable = efer::SCE | efer::LME | efer::NXE;
constexpr u64 kPhysicalReserved = ~((u64{1} << x86::kPhysicalBits) - 1);

/// Constants of AMD CPUs; writes are ignored.
std::optional<u64> platform_constant(u32 index) {
  switch (index) {
    case msr::AMD_HWCR:
      return bit(24);  // TscFreqSel: the TSC counts at the P0 frequency
    case 0xC0011029:
      return bit(1);  // DE_CFG: LFENCE is dispatch serialising
    case msr::AMD_SYSCFG:
    case 0xC001001A:  // TOP_MEM
    case 0xC001001D:  // TOP_MEM2
    case 0xC001001F:  // NB_CFG
    case 0xC0010055:  // INT_PENDING
    case 0xC0010058:  // MMIO_CFG_BASE: not enabled, ACPI MCFG tells
    case 0xC0010112:  // TSEG base
    case 0xC0010113:  // TSEG mask
    case 0xC0010114:  // VM_CR
    case 0xC0010117:  // VM_HSAVE_PA
    case 0xC0011022:  // DC_CFG
    case 0xC0011023:  // TW_CFG
    case 0xC001102A:  // BU_CFG2
    case msr::IA32_DEBUGCTL:
    case msr::IA32_MCG_CAP:
    case msr::IA32_MCG_STATUS:
      return 0;
    case msr::IA32_UCODE_REV:
      return kMicrocodeRevision;
    default:
      return {};
  }
}

/// Index into SystemRegs::mtrr_fixed.
std::optional<unsigned> fixed_mtrr(u32 index) {
  if (index == msr::IA32_MTRR_FIX64K_00000) return 0;
  if (index == msr::IA32_MTRR_FIX16K_80000) return 1;
  if (index == msr::IA32_MTRR_FIX16K_A0000) return 2;
  if (index >= msr::IA32_MTRR_FIX4K_C0000 && index <= msr::IA32_MTRR_FIX4K_F8000)
    return 3 + (index - msr::IA32_MTRR_FIX4K_C0000);
  return {};
}

bool is_variable_mtrr(u32 index) { return index >= msr::IA32_MTRR_PHYSBASE0 && index <= msr::IA32_MTRR_PHYSMASK7; }

/// UC, WC, WT, WP, WB (SDM 3A table 12-8); PAT has UC- as well.
bool is_memory_type(u64 type) { return type <= 6 && type != 2 && type != 3; }
bool is_pat_type(u64 type) { return type <= 7 && type != 2 && type != 3; }

template <class F>
bool all_bytes(u64 value, F valid) {
  for (unsigned i = 0; i < 8; ++i) {
    if (!valid(bits(value, 8 * i, 8))) return false;
  }
  return true;
}

bool is_apic_msr(u32 index) {
  return index == msr::IA32_APIC_BASE || index == msr::IA32_TSC_DEADLINE ||
         (index >= msr::IA32_X2APIC_FIRST && index <= msr::IA32_X2APIC_LAST);
}

/// The register behind an MSR that is plain storage.
u64* storage(Cpu& cpu, u32 index) {
  auto& sys = cpu.sys;
  switch (index) {
    case msr::IA32_SYSENTER_CS:
      return &sys.sysenter_cs;
    case msr::IA32_SYSENTER_ESP:
      return &sys.sysenter_esp;
    case msr::IA32_SYSENTER_EIP:
      return &sys.sysenter_eip;
    case msr::IA32_MISC_ENABLE:
      return &sys.misc_enable;
    case msr::IA32_PAT:
      return &sys.pat;
    case msr::IA32_MTRR_DEF_TYPE:
      return &sys.mtrr_def_type;
    case msr::IA32_TSC_ADJUST:
      return &sys.tsc_adjust;
    case msr::EFER:
      return &sys.efer;
    case msr::STAR:
      return &sys.star;
    case msr::LSTAR:
      return &sys.lstar;
    case msr::CSTAR:
      return &sys.cstar;
    case msr::SFMASK:
      return &sys.sfmask;
    case msr::FS_BASE:
      return &sys.segment[FS].base;
    case msr::GS_BASE:
      return &sys.segment[GS].base;
    case msr::KERNEL_GS_BASE:
      return &sys.kernel_gs_base;
    case msr::TSC_AUX:
      return &sys.tsc_aux;
    default:
      break;
  }
  if (const auto fixed = fixed_mtrr(index)) return &sys.mtrr_fixed[*fixed];
  if (is_variable_mtrr(index)) return &sys.mtrr_variable[index - msr::IA32_MTRR_PHYSBASE0];
  return nullptr;
}

bool read(Cpu& cpu, u32 index, u64& value) {
  if (is_apic_msr(index)) return cpu.apic.read_msr(index, value);
  if (vm::KvmParavirt::owns_msr(index)) return cpu.paravirt.read_msr(index, value);
  if (index == msr::IA32_TSC) {
    value = cpu.read_tsc();
    return true;
  }
  if (index == msr::IA32_MTRRCAP) {
    value = kMtrrCapabilities;
    return true;
  }
  if (const u64* found = storage(cpu, index)) {
    value = *found;
    return true;
  }
  const auto constant = platform_constant(index);
  value = constant.value_or(0);
  return constant.has_value();
}

bool write_efer(Cpu& cpu, u64 value) {
  auto& sys = cpu.sys;
  if (value & ~(kEferWritable | efer::LMA)) return false;
  const u64 wanted = (value & kEferWritable) | (sys.efer & efer::LMA);  // LMA follows CR0.PG and LME
  const u64 changed = sys.efer ^ wanted;
  if ((changed & efer::LME) && (sys.cr0 & cr0::PG)) return false;
  sys.efer = wanted;
  cpu.system_calls_changed();
  if (changed & efer::NXE) cpu.flush_tlb();
  cpu.update_mode();
  return true;
}

bool write_mtrr_variable(Cpu& cpu, u32 index, u64 value) {
  const bool mask = (index - msr::IA32_MTRR_PHYSBASE0) & 1;
  if (value & kPhysicalReserved) return false;
  if (mask ? (value & 0x7FF) != 0 : (value & 0xF00) != 0 || !is_memory_type(value & 0xFF)) return false;
  cpu.sys.mtrr_variable[index - msr::IA32_MTRR_PHYSBASE0] = value;
  return true;
}

/// IA32_TSC and IA32_TSC_ADJUST move together (SDM 3B 18.17.3).
void write_tsc(Cpu& cpu, u64 value) {
  cpu.sys.tsc_adjust += value - cpu.read_tsc();
  cpu.set_tsc(value);
}
void write_tsc_adjust(Cpu& cpu, u64 value) {
  cpu.set_tsc(cpu.read_tsc() + (value - cpu.sys.tsc_adjust));
  cpu.sys.tsc_adjust = value;
}

bool write(Cpu& cpu, u32 index, u64 value) {
  if (is_apic_msr(index)) {
    if (!cpu.apic.write_msr(index, value)) return false;
    if (index == msr::IA32_APIC_BASE) {  // the register page covers other memory now
      cpu.update_apic_page();
      cpu.flush_tlb();
    }
    cpu.recheck_interrupts();
    return true;
  }
  if (vm::KvmParavirt::owns_msr(index)) return cpu.paravirt.write_msr(index, value);
  switch (index) {
    case msr::IA32_TSC:
      write_tsc(cpu, value);
      return true;
    case msr::IA32_TSC_ADJUST:
      write_tsc_adjust(cpu, value);
      return true;
    case msr::EFER:
      return write_efer(cpu, value);
    case msr::LSTAR:
    case msr::CSTAR:
    case msr::FS_BASE:
    case msr::GS_BASE:
    case msr::KERNEL_GS_BASE:
    case msr::IA32_SYSENTER_ESP:
    case msr::IA32_SYSENTER_EIP:
      if (!x86::is_canonical(value)) return false;
      break;
    case msr::SFMASK:
    case msr::TSC_AUX:
      value = static_cast<u32>(value);
      break;
    case msr::IA32_PAT:
      if (!all_bytes(value, is_pat_type)) return false;
      break;
    case msr::IA32_MTRR_DEF_TYPE:
      if ((value & ~kMtrrDefTypeWritable) || !is_memory_type(value & 0xFF)) return false;
      break;
    case msr::IA32_MISC_ENABLE:
      value = (value & kMiscEnableWritable) | (cpu.sys.misc_enable & kMiscEnableReadOnly);
      break;
    case msr::IA32_MTRRCAP:
    case msr::IA32_MCG_CAP:
      return false;
    default:
      break;
  }
  if (is_variable_mtrr(index)) return write_mtrr_variable(cpu, index, value);
  if (fixed_mtrr(index) && !all_bytes(value, is_memory_type)) return false;
  if (u64* found = storage(cpu, index)) {
    *found = value;
    if (index >= msr::STAR && index <= msr::SFMASK) cpu.system_calls_changed();
    return true;
  }
  return platform_constant(index).has_value();
}

/// The first few unknown MSRs are named in the log, each once.
void log_unknown(const Cpu& cpu, const char* what, u32 index) {
  if (!log::enabled(log::Level::Info)) return;
  constexpr std::size_t kMost = 64;
  static std::array<std::atomic<u64>, kMost> seen;
  const u64 key = u64{index} | bit(32);
  for (auto& entry : seen) {
    u64 expected = 0;
    if (entry.compare_exchange_strong(expected, key)) {
      log::info("vCPU {}: {} of unknown MSR {:#x} or with an impossible value, at {:#x}", cpu.id, what, index, cpu.rip);
      return;
    }
    if (expected == key) return;
  }
}

}  // namespace

void rdmsr(Cpu& cpu, const Insn&) {
  require_cpl0(cpu);
  const u32 index = cpu.reg<u32>(RCX * 8);
  u64 value = 0;
  if (!read(cpu, index, value)) {
    log_unknown(cpu, "read", index);
    cpu.raise(Vector::GP, 0);
  }
  cpu.r[RAX] = static_cast<u32>(value);
  cpu.r[RDX] = value >> 32;
}

void wrmsr(Cpu& cpu, const Insn&) {
  require_cpl0(cpu);
  const u32 index = cpu.reg<u32>(RCX * 8);
  const u64 value = (u64{cpu.reg<u32>(RDX * 8)} << 32) | cpu.reg<u32>(RAX * 8);
  if (!write(cpu, index, value)) {
    log_unknown(cpu, "write", index);
    cpu.raise(Vector::GP, 0);
  }
}

}  // namespace vireo::cpu::interp
