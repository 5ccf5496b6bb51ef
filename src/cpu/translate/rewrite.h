// A guest instruction's bytes with other registers and another memory operand.
#pragma once

#include "cpu/translate/emit.h"
#include "cpu/translate/guest.h"

namespace vireo::cpu::translate {

/// What replaces the operands of an instruction. Vector and mask registers stay what they are.
struct Substitution {
  /// By RegOperand::Place; None leaves the field as it is (an opcode extension, a vector register).
  Host modrm_reg = Host::None, modrm_rm = Host::None, vvvv = Host::None, opcode = Host::None;
  Mem mem;                 ///< when the instruction has a memory operand
  bool byte_regs = false;  ///< some register operand has 8 bits: REX decides which
};

/// Whether it might end up longer than instructions may be: with a memory operand it gains a SIB byte or a REX prefix.
bool may_grow_too_long(const GuestInsn& insn);
void emit_rewritten(Emitter& emit, const GuestInsn& insn, const Substitution& with);

}  // namespace vireo::cpu::translate
