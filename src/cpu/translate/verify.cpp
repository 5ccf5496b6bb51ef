#include "cpu/translate/verify.h"

#include <utility>

#include "cpu/translate/verify_machine.h"

namespace vireo::cpu::translate {

namespace verify {

namespace {

/// The guest registers that C++ changes when it executes an instruction that is translated, too; nothing: any.
std::optional<u16> changed_by(u16 mnemonic) {
  constexpr u16 rax = 1 << vm::x86::RAX, rcx = 1 << vm::x86::RCX, rdx = 1 << vm::x86::RDX, rsi = 1 << vm::x86::RSI,
                rdi = 1 << vm::x86::RDI;
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_SWAPGS:
      return u16{0};
    case ZYDIS_MNEMONIC_RDTSC:
      return u16{rax | rdx};
    case ZYDIS_MNEMONIC_RDTSCP:
      return u16{rax | rcx | rdx};
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
      return u16{rcx | rdi};
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_MOVSQ:
      return u16{rcx | rsi | rdi};
    default:
      return {};
  }
}

class Verifier : Machine {
 public:
  Verifier(const Block& block, const u8* code, const Layout& layout, const Thunks& thunks, const Tables& tables)
      : Machine(layout, block.mode, block.code32),
        block_(block),
        code_(code),
        layout_(layout),
        thunks_(thunks),
        tables_(tables) {}

  std::optional<Violation> run() {
    if (!decode() || !collect()) return violation_;
    bool reached = false;
    for (const Decoded& insn : insns_) {
      offset_ = insn.offset;
      arrive(offset_, reached);
      reached = step(insn);
      if (violation_) break;
    }
    if (!violation_ && reached) fail("runs off its end");
    return violation_;
  }

 private:
  bool decode() {
    for (u32 offset = 0; offset < block_.code_size;) {
      Decoded& insn = insns_.emplace_back();
      insn.offset = offset;
      if (!ZYAN_SUCCESS(
              ZydisDecoderDecodeFull(&decoder(), code_ + offset, block_.code_size - offset, &insn.in, insn.operands))) {
        offset_ = offset;
        return fail("no instruction");
      }
      starts_[offset] = true;
      offset += insn.in.length;
    }
    return true;
  }

  u32 offset_of(const u8* at) const { return static_cast<u32>(at - block_.code); }
  bool inside(const u8* at) const { return at >= block_.code && at < block_.code + block_.code_size; }

  /// What the block's tables say.
  bool collect() {
    // The block was made last: its own are at the end.
    for (auto site_at = tables_.sites.rbegin(); site_at != tables_.sites.rend(); ++site_at) {
      const Site& site = *site_at;
      if (site.block != &block_) break;
      if (site.kind == Site::Kind::Access) fields_.sites[site.slot] = &site;
    }
    for (auto edge_at = tables_.edges.rbegin(); edge_at != tables_.edges.rend(); ++edge_at) {
      const Edge& edge = *edge_at;
      if (edge.from != &block_) break;
      if (!inside(edge.stub)) return fail("an edge whose stub is elsewhere");
      entries_[offset_of(edge.stub)] = true;
      if (edge.place != nullptr) continue;
      if (layout_.object->edges[edge.slot] != reinterpret_cast<u64>(edge.stub))
        return fail("an edge that leads elsewhere");
      fields_.edges[layout_.edge(edge.slot).disp] = &edge;
    }
    entries_[offset_of(block_.entry)] = true;
    for (const Boundary& boundary : block_.boundaries) boundaries_[boundary.host] = true;
    // C++ goes on behind what it executes.
    for (auto helper = tables_.helpers.rbegin(); helper != tables_.helpers.rend() && helper->block == &block_;
         ++helper) {
      const std::size_t next = helper->boundary + 1u;
      if (next >= block_.boundaries.size()) continue;
      const u32 at = block_.boundaries[next].host;
      if (const auto changed = changed_by(helper->insn.mnemonic)) {
        entries_after_cpp_[at] = *changed;
      } else {
        entries_[at] = true;
      }
    }
    for (const Decoded& insn : insns_) {
      const auto target = relative_target(insn);
      if (target && *target <= insn.offset) backwards_[static_cast<u32>(*target)] = true;
    }
    return true;
  }

  /// What is known at this instruction: from the one before, and from branches.
  void arrive(u32 offset, bool reached) {
    const auto pending = pending_.find(offset);
    const bool entry = offset == 0 || entries_.contains(offset);
    if (entry || (!reached && pending == pending_.end())) {
      now_ = unknown();
    } else if (pending != pending_.end()) {
      now_ = reached ? meet(now_, pending->second, symbols_) : pending->second;
    }
    if (pending != pending_.end()) pending_.erase(pending);
    const bool boundary = boundaries_.contains(offset);
    if (boundary || backwards_.contains(offset)) forget_scratch();
    if (const auto changed = entries_after_cpp_.find(offset); changed != entries_after_cpp_.end()) {
      now_.facts.clear();
      for (unsigned reg = 0; reg < 16; ++reg) {
        if ((changed->second >> reg & 1) != 0) now_.reg[num(home(reg))] = symbols_.fresh();
      }
    }
    if (boundary) {
      // C++ may come in here, when it has executed the instruction before.
      std::erase_if(now_.facts, [](const Fact& fact) { return fact.alone; });
    }
    if (backwards_.contains(offset)) loops_[offset] = now_;
  }

  /// A branch from here, in `state`.
  bool go(i64 target, const State& state) {
    if (target >= 0 && target < block_.code_size) {
      const auto offset = static_cast<u32>(target);
      if (!starts_.contains(offset)) return fail("a jump into an instruction");
      if (offset > offset_) {
        const auto pending = pending_.find(offset);
        if (pending == pending_.end()) {
          pending_[offset] = state;
        } else {
          pending->second = meet(pending->second, state, symbols_);
        }
        return true;
      }
      return go_back(offset, state);
    }
    const u8* const to = block_.code + target;
    if (to == thunks_.jump_miss || to == thunks_.return_miss[block_.mode]) return true;
    if (to == thunks_.link) return check_link(state);
    return fail("a jump out of the block");
  }

  bool go_back(u32 offset, const State& state) {
    if (offset == 0 || entries_.contains(offset)) return true;  // nothing is relied on there
    const State& there = loops_[offset];
    for (unsigned i = 0; i < 16; ++i) {
      if (i != kT1 && i != kT2 && !(there.reg[i] == state.reg[i]))
        return fail("registers differ where a jump back leads");
    }
    for (const auto& [at, value] : there.cells) {
      const auto cell = state.cells.find(at);
      if (cell == state.cells.end() || !(cell->second == value))
        return fail("the context differs where a jump back leads");
    }
    for (const Fact& fact : there.facts) {
      if (std::ranges::find(state.facts, fact) == state.facts.end()) return fail("a jump back past a check");
    }
    return true;
  }

  bool check_link(const State& state) {
    const Value& index = state.reg[kT1];
    if (!index.is_constant() || index.constant >= tables_.edges.size() || tables_.edges[index.constant].from != &block_)
      return fail("a link of an edge that is not the block's");
    return true;
  }

  /// False: what follows is not reached from here.
  bool step(const Decoded& insn) {
    const auto& in = insn.in;
    // The host's flags are read by PUSHFQ and POP R11 in a row: the stack is as it was afterwards.
    const bool popped = in.mnemonic == ZYDIS_MNEMONIC_POP && insn.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                        insn.operands[0].reg.value == ZYDIS_REGISTER_R11;
    if (std::exchange(flags_pushed_, in.mnemonic == ZYDIS_MNEMONIC_PUSHFQ)) {
      if (!popped) return fail("flags that stay on the host's stack");
      now_.reg[kT2] = symbols_.fresh();
      return true;
    }
    if (flags_pushed_) return true;
    if (forbidden(in))
      return fail(std::string("an instruction that does not belong here: ") + ZydisMnemonicGetString(in.mnemonic));
    for (unsigned i = 0; i < in.operand_count; ++i) {
      const auto& operand = insn.operands[i];
      if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
      const auto reg = operand.reg.value;
      if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_SEGMENT &&
          operand.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
        return fail("a segment register");
      const bool call_or_return = in.mnemonic == ZYDIS_MNEMONIC_CALL || in.mnemonic == ZYDIS_MNEMONIC_RET;
      if (is_rsp(reg) && !call_or_return) return fail("the host's stack pointer");
    }
    if (!check_memory(insn)) return false;
    const Compared flags = now_.flags;
    now_.flags = {};
    if (in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_JRCXZ || is_conditional(in.mnemonic))
      return branch(insn, flags);
    if (in.mnemonic == ZYDIS_MNEMONIC_CALL) return call(insn);
    if (in.mnemonic == ZYDIS_MNEMONIC_RET) {
      if (in.operand_count_visible != 0) fail("a return that drops arguments");
      return false;
    }
    if (relative_target(insn)) return fail("a branch of another kind");
    return compute(insn);
  }

  bool branch(const Decoded& insn, const Compared& flags) {
    const auto& in = insn.in;
    const auto target = relative_target(insn);
    if (in.mnemonic == ZYDIS_MNEMONIC_JMP) {
      if (target) {
        go(*target, now_);
      } else if (insn.operands[0].type != ZYDIS_OPERAND_TYPE_MEMORY ||
                 insn.operands[0].mem.segment != ZYDIS_REGISTER_GS || !through_table(insn.operands[0])) {
        fail("a jump to anywhere");
      }
      return false;
    }
    if (!target) return fail("a branch without a target");
    if (!go(*target, now_)) return false;
    fall_through(insn, flags);
    return true;
  }

  bool call(const Decoded& insn) {
    const auto target = relative_target(insn);
    if (!target) {
      const auto& operand = insn.operands[0];
      if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY || operand.mem.segment != ZYDIS_REGISTER_GS ||
          !through_table(operand))
        return fail("a call to anywhere");
      now_ = unknown();
      return true;
    }
    const u8* const to = block_.code + *target;
    if (inside(to)) {  // an edge: to its stub until it is linked
      if (!go(*target, now_)) return false;
      now_ = unknown();
      return true;
    }
    if (to == thunks_.load_vectors) return true;
    if (is_refill(to)) return check_refill(insn.offset + insn.in.length, to);
    if (to == thunks_.write_parts) {
      if (!std::exchange(now_.parts, false)) return fail("a write of parts that nobody put there");
      now_.reg[kT1] = now_.reg[kT2] = symbols_.fresh();
      return true;
    }
    for (const bool moves : {false, true}) {
      for (const u8* strings : thunks_.strings[moves]) {
        if (to == strings) return check_strings(moves);
      }
    }
    for (const auto& modes : thunks_.cross) {
      if (to == modes[block_.mode]) return call_out(Call::Helper);
    }
    for (unsigned i = 0; i < static_cast<unsigned>(Call::kCount); ++i) {
      if (to != thunks_.call[i]) continue;
      return call_out(static_cast<Call>(i));
    }
    return fail("a call out of the block");
  }

  /// Behind the call nothing has changed but the slot, which C++ is called for with the same effect; it may go on
  /// behind that call too. A group may go on in a block apart; a read may be put together, and then it is behind the
  /// check, with a delta that is good for what was checked.
  bool check_refill(u32 behind, const u8* thunk) {
    const Site* const site = site_of_slot(now_.reg[kT2]);
    if (site == nullptr) return fail("a refill for a site that is not the block's");
    const Site& of = *site;
    const Slot& slot = layout_.object->slots[of.slot];
    if (of.access != AccessKind::Range || of.string || of.narrow || code32_ || slot.low != of.low ||
        slot.extent != of.extent)
      return fail("a refill for another kind of site");
    if (!is_refill_of(of, thunk)) return fail("another refill than the site's");
    const u32 behind_jump = behind + kBehindAccess + kBehindJump;
    if (!starts_.contains(behind + kBehindAccess) || (!of.alone && !starts_.contains(behind_jump)))
      return fail("a refill that goes on in the middle");
    const Value address = now_.reg[kT1];
    forget_scratch();
    std::erase_if(now_.facts, [&](const Fact& fact) { return fact.slot == of.slot; });
    const bool parts = of.parted;
    if (!parts && !of.bounced) return true;
    if (of.write != parts || !of.alone || of.segment != 0 || of.extent > kBounced)
      return fail("a crossing access that is none");
    State there = now_;
    there.parts = parts;
    there.facts.push_back({.slot = of.slot, .start = address, .size = of.extent, .write = of.write, .alone = true});
    return go(behind_jump, there);
  }

  template <class Thunks>
  static bool contains(const Thunks& thunks, const u8* thunk) {
    return std::ranges::find(thunks, thunk) != std::end(thunks);
  }

  bool is_refill(const u8* thunk) const {
    bool found = thunk == thunks_.part || contains(thunks_.bounce, thunk) || contains(thunks_.part_write, thunk);
    for (const auto& kinds : thunks_.refill) {
      for (const auto& refill : kinds)
        found = found || thunk == refill.alone || thunk == refill.group || thunk == refill.crossing;
    }
    return found;
  }

  bool is_refill_of(const Site& site, const u8* thunk) const {
    if (site.page_entries) {
      if (!site.alone) return thunk == thunks_.part;
      if (site.parted) return contains(thunks_.part_write, thunk);
      return site.bounced && contains(thunks_.bounce, thunk);
    }
    if (!site.refilled) return false;
    for (const auto& kinds : thunks_.refill) {
      const auto& refill = kinds[site.write];
      const u8* const own = site.bounced || site.parted ? refill.crossing : site.alone ? refill.alone : refill.group;
      if (thunk == own) return true;
    }
    return false;
  }

  /// The site whose slot's byte offset this is; nullptr: none of the block's.
  const Site* site_of_slot(const Value& offset) const {
    if (!offset.is_constant() || offset.constant % sizeof(Slot) != 0) return nullptr;
    const auto site = fields_.sites.find(static_cast<u32>(offset.constant / sizeof(Slot)));
    return site == fields_.sites.end() ? nullptr : site->second;
  }

  bool check_strings(bool moves) {
    const Value& slots = now_.reg[kT2];
    if (!slots.is_constant()) return fail("a string instruction with unknown slots");
    for (const bool source : {false, true}) {
      const u64 offset = source ? slots.constant >> 32 : static_cast<u32>(slots.constant);
      if (source && !moves) continue;
      const auto site = fields_.sites.find(static_cast<u32>(offset / sizeof(Slot)));
      if (offset % sizeof(Slot) != 0 || site == fields_.sites.end() || !site->second->string ||
          site->second->access != AccessKind::Range || site->second->page_entries || site->second->low != 0 ||
          site->second->write == source)
        return fail("a string instruction with the slot of another kind of site");
    }
    call_out(Call::Helper);
    return !violation_;  // what is known behind it: entries_after_cpp_
  }

  bool call_out(Call which) {
    const Value& index = now_.reg[kT1];
    if (!index.is_constant()) return fail("a call of C++ with an unknown index");
    const u64 number = index.constant;
    const Site* const site = number < tables_.sites.size() ? &tables_.sites[number] : nullptr;
    const bool ours = site != nullptr && site->block == &block_;
    switch (which) {
      case Call::Access:
        if (!ours || site->kind != Site::Kind::Access) return fail("a call for a site that is not the block's");
        // Behind the call everything is as it was, but for the slot.
        forget_scratch();
        std::erase_if(now_.facts, [&](const Fact& fact) { return fact.slot == site->slot; });
        return true;
      case Call::Leave:
        if (!ours || site->kind != Site::Kind::Leave) return fail("a call for a site that is not the block's");
        return false;
      case Call::Helper:
        if (number >= tables_.helpers.size() || tables_.helpers[number].block != &block_)
          return fail("a call of a helper that is not the block's");
        return false;
      case Call::Link:
        check_link(now_);
        return false;
      default:
        return fail("a call of C++ that blocks do not make");
    }
  }

  const Block& block_;
  const u8* const code_;
  const Layout& layout_;
  const Thunks& thunks_;
  const Tables& tables_;
  std::vector<Decoded> insns_;
  bool flags_pushed_ = false;
  std::map<u32, bool> starts_, entries_, boundaries_, backwards_;
  std::map<u32, u16> entries_after_cpp_;  ///< C++ may come in there, having changed these guest registers
  std::map<u32, State> pending_, loops_;
};

}  // namespace

}  // namespace verify

std::optional<Violation> find_violation(const Block& block, const u8* code, const Layout& layout, const Thunks& thunks,
                                        const Tables& tables) {
  return verify::Verifier(block, code, layout, thunks, tables).run();
}

}  // namespace vireo::cpu::translate
