// Control and debug registers (SDM 3A 2.5 and 2.6, SDM 2B MOV; SDM 3B 17.2 for DRn).
#include "cpu/interp/system.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr u64 kCr0Defined =
    cr0::PE | cr0::MP | cr0::EM | cr0::TS | cr0::ET | cr0::NE | cr0::WP | cr0::AM | cr0::NW | cr0::CD | cr0::PG;
constexpr u64 kCr4Defined = cr4::VME | cr4::PVI | cr4::TSD | cr4::DE | cr4::PSE | cr4::PAE | cr4::MCE | cr4::PGE |
                            cr4::PCE | cr4::OSFXSR | cr4::OSXMMEXCPT | cr4::UMIP | cr4::FSGSBASE | cr4::PCIDE |
                            cr4::OSXSAVE | cr4::SMEP | cr4::SMAP;
constexpr u64 kNoFlush = bit(63);
constexpr u64 kDr6Writable = 0xE00F;
constexpr u64 kDr7Writable = 0xFFFF23FF;
constexpr unsigned kXsaveBit = 26;  ///< CPUID.1:ECX

void refuse(Cpu& cpu) { cpu.raise(Vector::GP, 0); }

/// The PDPTE registers from the table at `cr3`; false when a reserved bit is set (SDM 3A 4.4.1).
bool reload_pdptes(Cpu& cpu, u64 cr3) {
  u64 pdpte[4];
  if (!x86::load_pdptes(cpu.memory, cr3, pdpte)) return false;
  for (unsigned i = 0; i < 4; ++i) cpu.sys.pdpte[i] = pdpte[i];
  return true;
}

bool pae_paging(const Cpu& cpu, u64 cr0, u64 cr4) { return (cr0 & cr0::PG) && (cr4 & cr4::PAE) && !cpu.long_mode(); }

}  // namespace

void load_cr0(Cpu& cpu, u64 value) {
  auto& sys = cpu.sys;
  if (value >> 32) refuse(cpu);
  value = (value & kCr0Defined) | cr0::ET;
  if ((value & cr0::PG) && !(value & cr0::PE)) refuse(cpu);
  if ((value & cr0::NW) && !(value & cr0::CD)) refuse(cpu);
  const u64 changed = sys.cr0 ^ value;
  u64 efer = sys.efer;
  if (changed & value & cr0::PG) {
    if (efer & efer::LME) {
      if (!(sys.cr4 & cr4::PAE) || sys.segment[CS].l()) refuse(cpu);
      efer |= efer::LMA;
    }
  } else if (changed & cr0::PG) {
    if (cpu.code64() || (sys.cr4 & cr4::PCIDE)) refuse(cpu);
    efer &= ~efer::LMA;
  }
  const bool pae = (value & cr0::PG) && (sys.cr4 & cr4::PAE) && !(efer & efer::LMA);
  if (pae && (changed & (cr0::PG | cr0::CD | cr0::NW)) && !reload_pdptes(cpu, sys.cr3)) refuse(cpu);
  sys.cr0 = value;
  sys.efer = efer;
  if (changed & (cr0::PG | cr0::PE | cr0::WP)) cpu.flush_tlb();
  if (changed & cr0::AM) cpu.system_calls_changed();
  cpu.update_mode();
}

void load_cr3(Cpu& cpu, u64 value) {
  auto& sys = cpu.sys;
  const bool keep = (sys.cr4 & cr4::PCIDE) && (value & kNoFlush);
  if (keep) value &= ~kNoFlush;
  if (cpu.long_mode() ? (value >> x86::kPhysicalBits) != 0 : (value >> 32) != 0) refuse(cpu);
  if (pae_paging(cpu, sys.cr0, sys.cr4) && !reload_pdptes(cpu, value)) refuse(cpu);
  // The TLB knows one address space: translations can stay only when it is the same one.
  const bool same = sys.cr3 == value;
  sys.cr3 = value;
  if (!(keep && same)) cpu.flush_tlb_non_global();
}

void load_cr4(Cpu& cpu, u64 value) {
  auto& sys = cpu.sys;
  const u64 changed = sys.cr4 ^ value;
  if (value & ~kCr4Defined) refuse(cpu);
  const CpuidLeaf* features = cpu.cpuid.find(1, 0);
  if ((value & cr4::OSXSAVE) && (features == nullptr || !(features->ecx & bit(kXsaveBit)))) refuse(cpu);
  if (cpu.long_mode() && !(value & cr4::PAE)) refuse(cpu);
  if ((changed & value & cr4::PCIDE) && (!cpu.long_mode() || (sys.cr3 & 0xFFF) != 0)) refuse(cpu);
  constexpr u64 kReloading = cr4::PSE | cr4::PAE | cr4::PGE | cr4::SMEP;
  if (pae_paging(cpu, sys.cr0, value) && (changed & kReloading) && !reload_pdptes(cpu, sys.cr3)) refuse(cpu);
  sys.cr4 = value;
  if (changed & (cr4::PSE | cr4::PAE | cr4::PGE | cr4::PCIDE | cr4::SMEP | cr4::SMAP)) cpu.flush_tlb();
  cpu.update_mode();
}

namespace {

// insn.rm is the general register, insn.modrm_reg the number of the other one; insn.op_size 4 or 8.

void mov_from_control(Cpu& cpu, const Insn& insn) {
  require_cpl0(cpu);
  u64 value;
  switch (insn.modrm_reg) {
    case 0:
      value = cpu.sys.cr0;
      break;
    case 2:
      value = cpu.sys.cr2;
      break;
    case 3:
      value = cpu.sys.cr3;
      break;
    case 4:
      value = cpu.sys.cr4;
      break;
    default:
      value = cpu.apic.cr8();
      break;
  }
  cpu.set_reg_sized(insn.rm, insn.op_size, value);
}

void mov_to_control(Cpu& cpu, const Insn& insn) {
  require_cpl0(cpu);
  const u64 value = cpu.reg_sized(insn.rm, insn.op_size);
  switch (insn.modrm_reg) {
    case 0:
      return load_cr0(cpu, value);
    case 2:
      cpu.sys.cr2 = value;
      return;
    case 3:
      return load_cr3(cpu, value);
    case 4:
      return load_cr4(cpu, value);
    default:
      break;
  }
  if (value > 15) refuse(cpu);
  cpu.apic.set_cr8(static_cast<u8>(value));
  cpu.recheck_interrupts();
}

/// Checks that come before any access to a debug register; returns its number with DR4 and DR5 resolved.
unsigned debug_register(Cpu& cpu, const Insn& insn) {
  unsigned number = insn.modrm_reg;
  if (number > 7 || ((number == 4 || number == 5) && (cpu.sys.cr4 & cr4::DE))) cpu.raise(Vector::UD);
  if (number == 4 || number == 5) number += 2;
  require_cpl0(cpu);
  if (cpu.sys.dr7 & dr7::GD) {
    cpu.sys.dr6 |= dr6::BD;
    cpu.raise(Vector::DB);
  }
  return number;
}

void mov_from_debug(Cpu& cpu, const Insn& insn) {
  const unsigned number = debug_register(cpu, insn);
  const u64 value = number == 6 ? cpu.sys.dr6 : number == 7 ? cpu.sys.dr7 : cpu.sys.dr[number];
  cpu.set_reg_sized(insn.rm, insn.op_size, value);
}

void mov_to_debug(Cpu& cpu, const Insn& insn) {
  const unsigned number = debug_register(cpu, insn);
  const u64 value = cpu.reg_sized(insn.rm, insn.op_size);
  if (number < 4) {
    cpu.sys.dr[number] = value;
  } else {
    if (value >> 32) refuse(cpu);
    if (number == 6) {
      cpu.sys.dr6 = (value & kDr6Writable) | dr6::kFixed1;
    } else {
      cpu.sys.dr7 = (value & kDr7Writable) | dr7::kFixed1;
    }
  }
  cpu.update_mode();
}

}  // namespace

Handler select_control_register(const DecodedInsn& decoded, Insn& insn) {
  insn.op_size = decoded.mode == CodeMode::Bits64 ? 8 : 4;
  const auto class_of = [&](unsigned i) { return ZydisRegisterGetClass(decoded.operands[i].reg.value); };
  if (class_of(0) == ZYDIS_REGCLASS_CONTROL || class_of(1) == ZYDIS_REGCLASS_CONTROL) {
    const unsigned number = insn.modrm_reg;
    if (number != 0 && number != 2 && number != 3 && number != 4 && number != 8) return nullptr;
    return class_of(0) == ZYDIS_REGCLASS_CONTROL ? mov_to_control : mov_from_control;
  }
  if (class_of(0) == ZYDIS_REGCLASS_DEBUG) return mov_to_debug;
  return class_of(1) == ZYDIS_REGCLASS_DEBUG ? mov_from_debug : nullptr;
}

}  // namespace vireo::cpu::interp
