#include "cpu/interp/cpu.h"

#include "base/log.h"
#include "cpu/interp/debug.h"
#include "cpu/interp/host_exec.h"

#include <Zydis/Zydis.h>

namespace vireo::cpu::interp {

using namespace vm::x86;

Cpu::Cpu(const vm::VcpuSetup& setup)
    : memory(setup.memory),
      io(setup.io),
      clock(setup.clock),
      apic(*setup.apic),
      paravirt(*setup.paravirt),
      cpuid(setup.cpuid),
      id(setup.id),
      ram_base_(setup.memory.base()),
      generations_(setup.memory.generations()) {
  host_exec = std::make_unique<HostExec>(*this);
}

Cpu::~Cpu() = default;

void Cpu::update_mode() {
  const Segment& cs = sys.segment[CS];
  const Segment& ss = sys.segment[SS];
  if (long_mode() && cs.l()) {
    mode = CodeMode::Bits64;
  } else {
    mode = cs.db() ? CodeMode::Bits32 : CodeMode::Bits16;
  }
  cpl = !protected_mode() ? 0 : v86() ? 3 : ss.dpl();
  stack_mask = code64() ? ~u64{0} : ss.db() ? 0xFFFFFFFF : 0xFFFF;
  rip_mask = code64() ? ~u64{0} : 0xFFFFFFFF;
  fpu_blocked = (sys.cr0 & (cr0::EM | cr0::TS)) != 0;
  careful = (rflags & rflags::TF) != 0 || debug_active(*this);
  update_view();
  end_block();
}

void Cpu::update_view() {
  const bool alignment_checked = cpl == 3 && (rflags & rflags::AC) && (sys.cr0 & cr0::AM);
  if (alignment_checked || data_breakpoints_active(*this)) {
    view = SoftTlb::Strict;
  } else if (cpl == 3) {
    view = SoftTlb::User;
  } else {
    view = !(sys.cr4 & cr4::SMAP) || (rflags & rflags::AC) ? SoftTlb::SupervisorUserAccess : SoftTlb::Supervisor;
  }
}

u64 Cpu::reg_sized(RegSlot slot, unsigned size) const {
  switch (size) {
    case 1:
      return reg<u8>(slot);
    case 2:
      return reg<u16>(slot);
    case 4:
      return reg<u32>(slot);
    default:
      return reg<u64>(slot);
  }
}

void Cpu::set_reg_sized(RegSlot slot, unsigned size, u64 value) {
  switch (size) {
    case 1:
      set_reg<u8>(slot, static_cast<u8>(value));
      break;
    case 2:
      set_reg<u16>(slot, static_cast<u16>(value));
      break;
    case 4:
      set_reg<u32>(slot, static_cast<u32>(value));
      break;
    default:
      set_reg<u64>(slot, value);
      break;
  }
}

void Cpu::raise(Vector vector) {
  fault = {.vector = vector, .has_error = false, .error = 0};
  std::longjmp(fault_exit, 1);
}

void Cpu::raise(Vector vector, u32 error) {
  fault = {.vector = vector, .has_error = true, .error = error};
  std::longjmp(fault_exit, 1);
}

void Cpu::raise_page_fault(u64 va, u32 error) {
  sys.cr2 = va;
  raise(Vector::PF, error);
}

void Cpu::undefined(const Insn& insn) {
  // UD0, UD1 and UD2 are how software asks for #UD: nothing to report.
  const bool deliberate =
      insn.mnemonic == ZYDIS_MNEMONIC_UD0 || insn.mnemonic == ZYDIS_MNEMONIC_UD1 || insn.mnemonic == ZYDIS_MNEMONIC_UD2;
  if (!deliberate && log::enabled(log::Level::Info)) {
    static std::array<log::Once, ZYDIS_MNEMONIC_MAX_VALUE + 1> logged;
    if (logged[insn.mnemonic].first()) {
      std::string bytes;
      for (unsigned i = 0; i < std::max<unsigned>(insn.length, 1); ++i) {
        const auto t = x86::walk(memory, paging_context(cpl == 3), wrap(code_base() + rip + i), Access::Execute);
        u8 byte = 0;
        if (!t.ok || !memory.read(t.gpa, &byte, 1)) break;
        bytes += fmt::format("{:02x} ", byte);
      }
      const char* name = ZydisMnemonicGetString(static_cast<ZydisMnemonic>(insn.mnemonic));
      log::info("vCPU {}: undefined instruction at {:#x}: {}({})", id, rip, bytes, name != nullptr ? name : "?");
    }
  }
  raise(Vector::UD);
}

void Cpu::flush_tlb() {
  tlb.flush();
  tables.flush();
  if (keeper != nullptr) keeper->flush_all();
  ++tlb_epoch;
  end_block();
}
void Cpu::flush_tlb_non_global() {
  tlb.flush_non_global();
  tables.flush();
  if (keeper != nullptr) keeper->flush_non_global();
  ++tlb_epoch;
  end_block();
}
void Cpu::flush_tlb_page(u64 va) {
  tlb.flush_page(va);
  tables.flush();
  if (keeper != nullptr) keeper->flush_page(va);
  ++tlb_epoch;
  end_block();
}

u64 Cpu::read_tsc() const { return clock.tsc() + tsc_offset; }

void Cpu::set_tsc(u64 value) { set_tsc_offset(value - clock.tsc()); }

void Cpu::set_tsc_offset(u64 offset) {
  tsc_offset = offset;
  apic.set_tsc_offset(offset);
  paravirt.set_tsc_offset(offset);
}

}  // namespace vireo::cpu::interp
