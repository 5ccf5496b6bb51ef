#include "cpu/translate/verify_machine.h"

namespace vireo::cpu::translate::verify {

std::optional<Value> Machine::address(const ZydisDecodedOperand& operand) {
  const auto& mem = operand.mem;
  Value value = Symbols::constant(mem.disp.has_displacement ? static_cast<u64>(mem.disp.value) : 0);
  if (mem.base != ZYDIS_REGISTER_NONE) {
    if (!is_gpr64(mem.base)) return {};
    value = symbols_.sum(value, now_.reg[number_of(mem.base)]);
  }
  if (mem.index != ZYDIS_REGISTER_NONE) {
    if (!is_gpr64(mem.index)) return {};
    value = symbols_.sum(value, now_.reg[number_of(mem.index)], mem.scale);
  }
  return value;
}

/// gs:[disp], or with an index that is bounded. Accesses only; what is loaded is load()'s.
bool Machine::check_context(const ZydisDecodedOperand& operand, const ZydisDecodedInstruction& in) {
  const auto& mem = operand.mem;
  const auto at = static_cast<i32>(mem.disp.has_displacement ? mem.disp.value : 0);
  const u32 size = operand.size / 8u;
  const bool written = is_written(operand);
  if (mem.base == ZYDIS_REGISTER_NONE && mem.index == ZYDIS_REGISTER_NONE) {
    if (fields_.is_field(at, size, written)) return true;
    if (fields_.edges.contains(at)) {
      const bool jump = in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL;
      return jump || fail("an edge that is not jumped through");
    }
    if (fields_.slot_field(at).site != nullptr && size == 8) return true;  // who stores to it: store()
    return fail("a field of the context that is no business of translated code");
  }
  if (mem.base != ZYDIS_REGISTER_NONE && mem.index == ZYDIS_REGISTER_NONE) {
    const Symbol* const index = is_gpr64(mem.base) ? symbols_.single(now_.reg[number_of(mem.base)]) : nullptr;
    if (fields_.page_field(at).which == Fields::PageField::Which::None || index == nullptr ||
        index->kind != Kind::PageIndex || written || size != 8)
      return fail("an indexed access to the context");
    return true;
  }
  const Symbol* const index = is_gpr64(mem.index) ? symbols_.single(now_.reg[number_of(mem.index)]) : nullptr;
  const bool jump = in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL;
  if (mem.base != ZYDIS_REGISTER_NONE || mem.scale != 8 || at != fields_.jumps(mode_) || !jump || index == nullptr ||
      index->kind != Kind::LowWord)
    return fail("an indexed access to the context");
  return true;
}

/// An access to guest memory: within what a check let pass.
bool Machine::check_access(const ZydisDecodedOperand& operand) {
  const auto where = address(operand);
  const u64 size = operand.size / 8u;
  if (!where || size == 0) return fail("an address or size that cannot be followed");
  for (unsigned i = 0; i < where->count; ++i) {
    const Symbol& symbol = symbols_.symbol(where->terms[i].symbol);
    if (symbol.kind != Kind::SlotDelta || where->terms[i].factor != 1) continue;
    const u32 slot = symbol.number;
    Value delta;
    delta.terms[0] = where->terms[i];
    delta.count = 1;
    const Value guest = symbols_.sum(*where, delta, ~u64{0});
    for (const Fact& fact : now_.facts) {
      if (fact.slot != slot) continue;
      const Value from = symbols_.sum(guest, fact.start, ~u64{0});
      if (!from.is_constant() || from.constant > fact.size || fact.size - from.constant < size) continue;
      if (is_written(operand) && !fact.write) return fail("a store through a slot for loads");
      return true;
    }
    return fail("an access that is not within what its check covers");
  }
  return fail("an access to memory without a check");
}

bool Machine::check_memory(const Decoded& insn) {
  for (unsigned i = 0; i < insn.in.operand_count; ++i) {
    const auto& operand = insn.operands[i];
    if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
    const auto& mem = operand.mem;
    const bool stack = operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && mem.base == ZYDIS_REGISTER_RSP &&
                       (insn.in.mnemonic == ZYDIS_MNEMONIC_CALL || insn.in.mnemonic == ZYDIS_MNEMONIC_RET);
    if (stack) continue;
    if (operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT) return fail("a hidden access to memory");
    if (insn.in.address_width != 64) return fail("a narrow address");
    if (mem.base == ZYDIS_REGISTER_RIP) return fail("an address relative to RIP");
    if (is_rsp(mem.base) || is_rsp(mem.index)) return fail("the host's stack pointer");
    if (mem.type == ZYDIS_MEMOP_TYPE_AGEN) continue;
    if (mem.type != ZYDIS_MEMOP_TYPE_MEM) return fail("an access of a kind that cannot be followed");
    const auto mnemonic = insn.in.mnemonic;
    const bool bit_string = (mnemonic == ZYDIS_MNEMONIC_BT || mnemonic == ZYDIS_MNEMONIC_BTS ||
                             mnemonic == ZYDIS_MNEMONIC_BTR || mnemonic == ZYDIS_MNEMONIC_BTC) &&
                            insn.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    if (bit_string) return fail("a bit string in memory");
    if (mem.segment == ZYDIS_REGISTER_FS) return fail("an access by FS");
    const bool done = mem.segment == ZYDIS_REGISTER_GS ? check_context(operand, insn.in) : check_access(operand);
    if (!done) return false;
  }
  return true;
}

}  // namespace vireo::cpu::translate::verify
