// The flags that privilege guards: CLI, STI, PUSHF, POPF, CLAC, STAC, with virtual-8086 mode's and protected mode's
// virtual interrupts (SDM 2A, 2B under each name; SDM 3B 20.3, 20.4).
#include "cpu/interp/system.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// Who owns the interrupt flag that CLI and STI change.
enum class InterruptFlag : u8 { Real, Virtual };

InterruptFlag interrupt_flag(Cpu& cpu) {
  if (cpu.cpl <= cpu.iopl()) return InterruptFlag::Real;  // CPL is 0 in real mode and 3 in virtual-8086 mode
  const bool virtual_flag = cpu.v86() ? (cpu.sys.cr4 & cr4::VME) != 0 : (cpu.sys.cr4 & cr4::PVI) != 0 && cpu.cpl == 3;
  if (!virtual_flag) cpu.raise(Vector::GP, 0);
  return InterruptFlag::Virtual;
}

void cli(Cpu& cpu, const Insn&) {
  cpu.rflags &= interrupt_flag(cpu) == InterruptFlag::Real ? ~rflags::IF : ~rflags::VIF;
}

void sti(Cpu& cpu, const Insn&) {
  if (interrupt_flag(cpu) == InterruptFlag::Virtual) {
    if (cpu.rflags & rflags::VIP) cpu.raise(Vector::GP, 0);
    cpu.rflags |= rflags::VIF;
    return;
  }
  if (cpu.rflags & rflags::IF) return;
  cpu.rflags |= rflags::IF;
  cpu.event.interrupt_shadow = true;
  cpu.interrupts_enabled();
}

/// PUSHF and POPF in virtual-8086 mode below IOPL 3: 16 bits, with VIF for IF, or #GP.
bool virtual_flags(Cpu& cpu, unsigned size) {
  if (!cpu.v86() || cpu.iopl() == 3) return false;
  if (size != 2 || !(cpu.sys.cr4 & cr4::VME)) cpu.raise(Vector::GP, 0);
  return true;
}

void pushf(Cpu& cpu, const Insn& insn) {
  u64 value = cpu.rflags & ~(rflags::VM | rflags::RF);
  if (virtual_flags(cpu, insn.op_size))
    value = (value & ~rflags::IF) | rflags::IOPL | (value & rflags::VIF ? rflags::IF : 0);
  u64 sp = cpu.stack_pointer();
  cpu.push(sp, insn.op_size, value);
  cpu.set_stack_pointer(sp);
}

void popf(Cpu& cpu, const Insn& insn) {
  const bool virtual_if = virtual_flags(cpu, insn.op_size);
  u64 sp = cpu.stack_pointer();
  u64 value = cpu.pop(sp, insn.op_size);
  u64 mask = rflags::kStatus | rflags::TF | rflags::DF | rflags::NT;
  if (insn.op_size != 2) mask |= rflags::AC | rflags::ID;
  if (virtual_if) {
    if ((value & rflags::TF) || ((value & rflags::IF) && (cpu.rflags & rflags::VIP))) cpu.raise(Vector::GP, 0);
    value = (value & ~rflags::VIF) | (value & rflags::IF ? rflags::VIF : 0);
    mask |= rflags::VIF;
  } else {
    if (cpu.cpl <= cpu.iopl()) mask |= rflags::IF;
    if (cpu.cpl == 0) mask |= rflags::IOPL;
  }
  cpu.set_stack_pointer(sp);
  const u64 old = cpu.rflags;
  write_flags(cpu, value & ~rflags::RF, mask | rflags::RF);
  if ((old ^ cpu.rflags) & (rflags::TF | rflags::AC)) cpu.update_mode();
}

template <bool kSet>
void change_ac(Cpu& cpu, const Insn& insn) {
  if (cpu.cpl != 0) cpu.undefined(insn);
  cpu.rflags = kSet ? cpu.rflags | rflags::AC : cpu.rflags & ~rflags::AC;
  cpu.update_mode();
}

}  // namespace

Handler select_flags(const DecodedInsn& decoded, Insn& insn) {
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_CLI:
      return cli;
    case ZYDIS_MNEMONIC_STI:
      return sti;
    case ZYDIS_MNEMONIC_PUSHF:
      insn.op_size = 2;
      return pushf;
    case ZYDIS_MNEMONIC_PUSHFD:
      insn.op_size = 4;
      return pushf;
    case ZYDIS_MNEMONIC_PUSHFQ:
      insn.op_size = 8;
      return pushf;
    case ZYDIS_MNEMONIC_POPF:
      insn.op_size = 2;
      return popf;
    case ZYDIS_MNEMONIC_POPFD:
      insn.op_size = 4;
      return popf;
    case ZYDIS_MNEMONIC_POPFQ:
      insn.op_size = 8;
      return popf;
    case ZYDIS_MNEMONIC_CLAC:
      return change_ac<false>;
    case ZYDIS_MNEMONIC_STAC:
      return change_ac<true>;
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
