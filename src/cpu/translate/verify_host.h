// Host instructions as the verifier reads them.
#pragma once

#include <Zydis/Zydis.h>

#include <optional>

#include "cpu/translate/layout.h"

namespace vireo::cpu::translate::verify {

struct Decoded {
  u32 offset = 0;
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

const ZydisDecoder& decoder();

/// Instructions that have no place in translated code.
bool forbidden(const ZydisDecodedInstruction& in);
inline bool is_conditional(ZydisMnemonic mnemonic) {
  return mnemonic >= ZYDIS_MNEMONIC_JB && mnemonic <= ZYDIS_MNEMONIC_JZ && mnemonic != ZYDIS_MNEMONIC_JMP;
}

inline bool is_gpr(ZydisRegister reg) {
  const auto c = ZydisRegisterGetClass(reg);
  return c == ZYDIS_REGCLASS_GPR8 || c == ZYDIS_REGCLASS_GPR16 || c == ZYDIS_REGCLASS_GPR32 ||
         c == ZYDIS_REGCLASS_GPR64;
}
inline bool is_gpr64(ZydisRegister reg) { return ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_GPR64; }
inline unsigned number_of(ZydisRegister reg) {
  const auto id = static_cast<unsigned>(ZydisRegisterGetId(reg));
  if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR8 || id < 4) return id;
  return id - 4;  // AH to BH, which are parts of 0 to 3, and then SPL and so on
}

constexpr unsigned kT1 = num(T1), kT2 = num(T2), kRsp = num(Host::RSP);

inline bool is_rsp(ZydisRegister reg) { return is_gpr(reg) && number_of(reg) == kRsp; }

inline bool is_memory(const ZydisDecodedOperand& operand) {
  return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type != ZYDIS_MEMOP_TYPE_AGEN;
}
inline bool is_context(const ZydisDecodedOperand& operand) { return operand.mem.segment == ZYDIS_REGISTER_GS; }
inline bool is_written(const ZydisDecodedOperand& operand) { return operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE; }

/// Where a relative branch leads, in bytes from the block's code.
inline std::optional<i64> relative_target(const Decoded& insn) {
  const auto& operand = insn.operands[0];
  if (insn.in.operand_count == 0 || operand.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !operand.imm.is_relative) return {};
  return i64{insn.offset} + insn.in.length + operand.imm.value.s;
}

}  // namespace vireo::cpu::translate::verify
