#include "cpu/translate/verify_machine.h"

namespace vireo::cpu::translate::verify {

State Machine::unknown() {
  State state;
  for (auto& value : state.reg) value = symbols_.fresh();
  return state;
}

void Machine::forget_scratch() {
  std::erase_if(now_.cells, [&](const auto& cell) { return !fields_.lasts(cell.first); });
  now_.reg[kT1] = symbols_.fresh();
  now_.reg[kT2] = symbols_.fresh();
  now_.flags = {};
  now_.page_facts.clear();
  now_.parts = false;
}

void Machine::fall_through(const Decoded& insn, const Compared& flags) {
  const auto& in = insn.in;
  if (in.mnemonic == ZYDIS_MNEMONIC_JRCXZ) {
    constant_checked(now_.reg[kT1]);
  } else if (in.mnemonic == ZYDIS_MNEMONIC_JZ && flags.with == Compared::With::Zero) {
    constant_checked(flags.value);
  } else if (in.mnemonic == ZYDIS_MNEMONIC_JNZ && flags.with == Compared::With::SegmentBase) {
    const Site& site = *fields_.sites[flags.slot];
    learn(site, Symbols::constant(static_cast<u64>(site.disp)), site.extent);
  } else if (in.mnemonic == ZYDIS_MNEMONIC_JNBE && flags.with == Compared::With::Limit) {
    const Site& site = *fields_.sites[flags.slot];
    learn(site, symbols_.plus(flags.value, static_cast<u64>(site.low)), site.extent);
  } else if (in.mnemonic == ZYDIS_MNEMONIC_JNBE && flags.with == Compared::With::PageEnd) {
    now_.page_facts.push_back({.address = flags.value, .number = flags.slot, .size = flags.size});
  }
}

void Machine::learn(const Site& site, const Value& start, u64 size) {
  std::erase_if(now_.facts, [&](const Fact& fact) { return fact.slot == site.slot; });
  now_.facts.push_back({.slot = site.slot, .start = start, .size = size, .write = site.write, .alone = site.alone});
  // A page entry is for no page at an end of the 4 GiB: the sum that was wrapped to 32 bits did not wrap.
  const Symbol* const wrapped = symbols_.single(start);
  if (!code32_ || !site.page_entries || wrapped == nullptr || wrapped->kind != Kind::ZeroExtend) return;
  Value sum = wrapped->of;
  sum.constant = sign_extend(sum.constant, 4);
  now_.facts.push_back({.slot = site.slot, .start = sum, .size = size, .write = site.write, .alone = site.alone});
}

void Machine::constant_checked(const Value& value) {
  const Symbol* const symbol = symbols_.single(value);
  if (symbol == nullptr || symbol->kind != Kind::SlotDelta) return;
  const auto found = fields_.sites.find(symbol->number);
  if (found == fields_.sites.end() || found->second->access != AccessKind::Constant) return;
  const Site& site = *found->second;
  learn(site, Symbols::constant(static_cast<u64>(site.disp) & kPageMask), site.extent);
}

bool Machine::through_table(const ZydisDecodedOperand& operand) const {
  const auto at = static_cast<i32>(operand.mem.disp.value);
  return operand.mem.index != ZYDIS_REGISTER_NONE || fields_.edges.contains(at);
}

/// What a guest register is after an instruction of 32-bit code that only adds or moves.
std::optional<Value> Machine::compute32(const Decoded& insn) {
  const auto& in = insn.in;
  const auto& to = insn.operands[0];
  const auto& from = insn.operands[1];
  if (!code32_ || in.operand_count < 1 || to.type != ZYDIS_OPERAND_TYPE_REGISTER || to.size != 32 ||
      !is_gpr(to.reg.value))
    return {};
  const unsigned target = number_of(to.reg.value);
  if (target == kT1 || target == kT2) return {};
  const Value& now = now_.reg[target];
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_LEA: {
      const auto value = address(from);
      if (!value) return {};
      return simple(*value);
    }
    case ZYDIS_MNEMONIC_MOV:
      if (from.type != ZYDIS_OPERAND_TYPE_REGISTER || from.size != 32 || number_of(from.reg.value) == kT1) return {};
      return now_.reg[number_of(from.reg.value)];
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
      if (from.type != ZYDIS_OPERAND_TYPE_IMMEDIATE) return {};
      return symbols_.plus(now, (in.mnemonic == ZYDIS_MNEMONIC_SUB ? ~u64{0} : 1) * from.imm.value.u);
    case ZYDIS_MNEMONIC_INC:
      return symbols_.plus(now, 1);
    case ZYDIS_MNEMONIC_DEC:
      return symbols_.plus(now, ~u64{0});
    default:
      return {};
  }
}

/// Everything that only computes, loads and stores.
bool Machine::compute(const Decoded& insn) {
  const auto& in = insn.in;
  const auto& to = insn.operands[0];
  const auto& from = insn.operands[1];
  const bool reg_to = in.operand_count >= 1 && to.type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr64(to.reg.value);
  const unsigned target = reg_to ? number_of(to.reg.value) : 0;
  std::optional<Value> result;
  Compared flags;
  if (const auto sum = compute32(insn)) {
    now_.reg[number_of(to.reg.value)] = *sum;
    return true;
  }
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
      if (is_memory(to) && is_context(to)) return store(to, from);
      if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && to.type == ZYDIS_OPERAND_TYPE_REGISTER && to.size >= 32) {
        now_.reg[number_of(to.reg.value)] =
            Symbols::constant(to.size == 32 ? static_cast<u32>(from.imm.value.u) : from.imm.value.u);
        return true;
      }
      if (reg_to && from.type == ZYDIS_OPERAND_TYPE_REGISTER) result = now_.reg[number_of(from.reg.value)];
      if (reg_to && is_memory(from) && is_context(from)) result = load(from, target);
      break;
    case ZYDIS_MNEMONIC_LEA: {
      const auto value = address(from);
      if (!value) break;
      if (reg_to) result = target == kT1 || target == kT2 ? *value : simple(*value);
      if (to.size == 32) {
        now_.reg[number_of(to.reg.value)] = symbols_.zero_extended(*value);
        return true;
      }
      break;
    }
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB: {
      if (!reg_to) break;
      const u64 sign = in.mnemonic == ZYDIS_MNEMONIC_SUB ? ~u64{0} : 1;
      if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) result = symbols_.plus(now_.reg[target], sign * from.imm.value.u);
      if (is_memory(from) && is_context(from)) result = symbols_.sum(now_.reg[target], load(from, target), sign);
      break;
    }
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
      if (reg_to) result = symbols_.plus(now_.reg[target], in.mnemonic == ZYDIS_MNEMONIC_INC ? 1 : ~u64{0});
      break;
    case ZYDIS_MNEMONIC_MOVZX:
      if (from.type == ZYDIS_OPERAND_TYPE_REGISTER && from.size == 16 && to.size == 32) {
        now_.reg[number_of(to.reg.value)] =
            symbols_.of({.kind = Kind::LowWord, .number = 0, .of = now_.reg[number_of(from.reg.value)]});
        return true;
      }
      break;
    case ZYDIS_MNEMONIC_SHR:
      if (reg_to && from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && from.imm.value.u == kPageShift - kPageEntryShift)
        result = symbols_.of({.kind = Kind::PageShift, .number = 0, .of = now_.reg[target]});
      break;
    case ZYDIS_MNEMONIC_AND:
      if (to.type == ZYDIS_OPERAND_TYPE_REGISTER && to.size == 32 && from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
          from.imm.value.u == (kPageEntries - 1) << kPageEntryShift) {
        const Symbol* const shifted = symbols_.single(now_.reg[number_of(to.reg.value)]);
        if (shifted == nullptr || shifted->kind != Kind::PageShift) break;
        now_.reg[number_of(to.reg.value)] =
            symbols_.of({.kind = Kind::PageIndex, .number = 0, .of = Value(shifted->of)});
        return true;
      }
      break;
    case ZYDIS_MNEMONIC_XOR:
      if (reg_to && is_memory(from) && is_context(from) && from.mem.base != ZYDIS_REGISTER_NONE) {
        const Fields::PageField field = fields_.page_field(static_cast<i32>(from.mem.disp.value));
        const Symbol* const index = symbols_.single(now_.reg[number_of(from.mem.base)]);
        if (field.which != Fields::PageField::Which::Delta && index->of == now_.reg[target])
          result = symbols_.of({.kind = Kind::PageTag, .number = field.number(), .of = Value(index->of)});
      }
      break;
    case ZYDIS_MNEMONIC_CMP:
      if (reg_to) flags = compare(now_.reg[target], from);
      break;
    case ZYDIS_MNEMONIC_TEST:
      if (reg_to && from.type == ZYDIS_OPERAND_TYPE_REGISTER && from.reg.value == to.reg.value)
        flags = {.with = Compared::With::Zero, .slot = 0, .value = now_.reg[target], .size = 0};
      break;
    default:
      break;
  }
  if (result) {
    now_.reg[target] = *result;
  } else {
    clobber(insn);
  }
  now_.flags = flags;
  return !violation_;
}

Value Machine::load(const ZydisDecodedOperand& from, unsigned target) {
  const auto at = static_cast<i32>(from.mem.disp.value);
  if (from.mem.base != ZYDIS_REGISTER_NONE) {
    const Fields::PageField field = fields_.page_field(at);
    const Symbol* const index = symbols_.single(now_.reg[number_of(from.mem.base)]);
    if (field.which != Fields::PageField::Which::Delta || index == nullptr) return symbols_.fresh();
    return symbols_.of({.kind = Kind::PageDelta, .number = field.view, .of = Value(index->of)});
  }
  const Fields::SlotField slot = fields_.slot_field(at);
  if (slot.site != nullptr) {
    if (target != kT1 && target != kT2) fail("a slot's field in a register that outlives checks");
    if (slot.which == Fields::SlotField::Which::Limit) return symbols_.fresh();
    const bool base = slot.which == Fields::SlotField::Which::Base;
    return symbols_.of({.kind = base ? Kind::SlotBase : Kind::SlotDelta, .number = slot.site->slot, .of = {}});
  }
  auto& cell = now_.cells.try_emplace(at, symbols_.fresh()).first->second;
  return cell;
}

bool Machine::store(const ZydisDecodedOperand& to, const ZydisDecodedOperand& from) {
  const auto at = static_cast<i32>(to.mem.disp.value);
  const Fields::SlotField slot = fields_.slot_field(at);
  const bool whole_register = from.type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr64(from.reg.value);
  if (slot.site != nullptr) {
    // Only what a page entry said that was checked for this address.
    const Symbol* const delta = whole_register ? symbols_.single(now_.reg[number_of(from.reg.value)]) : nullptr;
    const Site& site = *slot.site;
    if (slot.which != Fields::SlotField::Which::Delta || !site.page_entries || delta == nullptr ||
        delta->kind != Kind::PageDelta)
      return fail("a store to a slot");
    for (const PageFact& fact : now_.page_facts) {
      if (!(fact.address == delta->of) || fact.number != (delta->number << 1 | (site.write ? 1 : 0))) continue;
      const Value start = delta->of;
      learn(site, start, fact.size);
      now_.reg[kT1] = symbols_.fresh();
      now_.reg[kT2] = symbols_.fresh();
      return true;
    }
    return fail("a page entry that was not checked");
  }
  std::erase_if(now_.cells, [&](const auto& cell) { return cell.first < at + to.size / 8 && at < cell.first + 8; });
  if (at == fields_.segment_base(vm::x86::GS)) {
    std::erase_if(now_.facts, [&](const Fact& fact) { return fields_.sites[fact.slot]->segment == vm::x86::GS; });
  }
  if (whole_register) now_.cells[at] = simple(now_.reg[number_of(from.reg.value)]);
  return true;
}

Compared Machine::compare(const Value& left, const ZydisDecodedOperand& right) {
  if (right.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
    const Symbol* const tag = symbols_.single(left);
    if (tag == nullptr || tag->kind != Kind::PageTag || right.imm.value.u > kPageSize) return {};
    return {
        .with = Compared::With::PageEnd, .slot = tag->number, .value = tag->of, .size = kPageSize - right.imm.value.u};
  }
  if (!is_memory(right) || !is_context(right) || right.mem.base != ZYDIS_REGISTER_NONE) return {};
  const Fields::SlotField slot = fields_.slot_field(static_cast<i32>(right.mem.disp.value));
  if (slot.site == nullptr) return {};
  const Site& site = *slot.site;
  if (slot.which == Fields::SlotField::Which::Limit && site.access == AccessKind::Range && !site.page_entries) {
    const Value base = symbols_.of({.kind = Kind::SlotBase, .number = site.slot, .of = {}});
    const Value address = symbols_.sum(left, base);
    for (unsigned i = 0; i < address.count; ++i) {
      const Kind kind = symbols_.symbol(address.terms[i].symbol).kind;
      if (kind == Kind::SlotBase || kind == Kind::SlotDelta) return {};
    }
    return {.with = Compared::With::Limit, .slot = site.slot, .value = address, .size = 0};
  }
  if (slot.which == Fields::SlotField::Which::Base && site.access == AccessKind::Segment && site.segment < 6) {
    const auto cell = now_.cells.find(fields_.segment_base(site.segment));
    if (cell == now_.cells.end() || !(cell->second == left)) return {};
    return {.with = Compared::With::SegmentBase, .slot = site.slot, .value = {}, .size = 0};
  }
  return {};
}

/// Forgets what the instruction writes.
void Machine::clobber(const Decoded& insn) {
  for (unsigned i = 0; i < insn.in.operand_count; ++i) {
    const auto& operand = insn.operands[i];
    if (!is_written(operand)) continue;
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr(operand.reg.value)) {
      now_.reg[number_of(operand.reg.value)] = symbols_.fresh();
    } else if (is_memory(operand) && is_context(operand)) {
      const auto at = static_cast<i32>(operand.mem.disp.value);
      if (fields_.slot_field(at).site != nullptr) fail("a store to a slot");
      std::erase_if(now_.cells,
                    [&](const auto& cell) { return cell.first < at + operand.size / 8 && at < cell.first + 8; });
    }
  }
}

}  // namespace vireo::cpu::translate::verify
