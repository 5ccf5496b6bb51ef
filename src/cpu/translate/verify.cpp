#include "cpu/translate/verify.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "cpu/translate/symbols.h"

namespace vireo::cpu::translate {

namespace verify {

namespace {

using Kind = Symbol::Kind;

/// Bytes [start, start + size) from this guest address are in the region of the slot.
struct Fact {
  u32 slot = 0;
  Value start;
  u64 size = 0;
  bool write = false, alone = false;
  bool operator==(const Fact&) const = default;
};

/// The page entry for this address is one for it.
struct PageFact {
  Value address;
  u32 number = 0;  ///< of its PageTag
  u64 size = 0;
  bool operator==(const PageFact&) const = default;
};

/// What the flags say until the next instruction.
struct Compared {
  enum class With : u8 { Nothing, Limit, PageEnd, SegmentBase, Zero } with = With::Nothing;
  u32 slot = 0;
  Value value;
  u64 size = 0;  ///< PageEnd
  bool operator==(const Compared&) const = default;
};

struct State {
  std::array<Value, 16> reg;
  std::map<i32, Value> cells;  ///< fields of eight bytes in the context, by distance
  std::vector<Fact> facts;
  std::vector<PageFact> page_facts;
  Compared flags;
};

struct Decoded {
  u32 offset = 0;
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

const ZydisDecoder& decoder() {
  static const ZydisDecoder decoder = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return made;
  }();
  return decoder;
}

bool is_gpr(ZydisRegister reg) {
  const auto c = ZydisRegisterGetClass(reg);
  return c == ZYDIS_REGCLASS_GPR8 || c == ZYDIS_REGCLASS_GPR16 || c == ZYDIS_REGCLASS_GPR32 ||
         c == ZYDIS_REGCLASS_GPR64;
}
bool is_gpr64(ZydisRegister reg) { return ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_GPR64; }

unsigned number_of(ZydisRegister reg) {
  const auto id = static_cast<unsigned>(ZydisRegisterGetId(reg));
  if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR8 || id < 4) return id;
  return id - 4;  // AH to BH, which are parts of 0 to 3, and then SPL and so on
}

constexpr unsigned kT1 = num(T1), kT2 = num(T2), kRsp = num(Host::RSP);

bool is_rsp(ZydisRegister reg) { return is_gpr(reg) && number_of(reg) == kRsp; }

/// Instructions that have no place in translated code.
bool forbidden(const ZydisDecodedInstruction& in) {
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
    case ZYDIS_MNEMONIC_LAHF:
    case ZYDIS_MNEMONIC_SAHF:
    case ZYDIS_MNEMONIC_CLC:
    case ZYDIS_MNEMONIC_STC:
    case ZYDIS_MNEMONIC_CMC:
      return false;
    case ZYDIS_MNEMONIC_ENTER:
    case ZYDIS_MNEMONIC_LEAVE:
    case ZYDIS_MNEMONIC_WRPKRU:
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
      return true;
    default:
      break;
  }
  if ((in.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) || in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return true;
  switch (in.meta.category) {
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_RDWRFSGS:
    case ZYDIS_CATEGORY_FLAGOP:
    case ZYDIS_CATEGORY_XSAVE:
    case ZYDIS_CATEGORY_XSAVEOPT:
    case ZYDIS_CATEGORY_GATHER:
    case ZYDIS_CATEGORY_AVX2GATHER:
    case ZYDIS_CATEGORY_SCATTER:
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
      return true;
    default:
      return false;
  }
}

bool is_conditional(ZydisMnemonic mnemonic) {
  return mnemonic >= ZYDIS_MNEMONIC_JB && mnemonic <= ZYDIS_MNEMONIC_JZ && mnemonic != ZYDIS_MNEMONIC_JMP;
}

class Verifier {
 public:
  Verifier(const Block& block, const u8* code, const Layout& layout, const Thunks& thunks, const Tables& tables)
      : block_(block), code_(code), layout_(layout), thunks_(thunks), tables_(tables) {}

  std::optional<Violation> run() {
    if (!decode() || !collect()) return violation_;
    // Indirectly, and from C++, with nothing known.
    bool reached = false;
    for (at_ = 0; at_ < insns_.size() && !violation_; ++at_) {
      const u32 offset = insns_[at_].offset;
      if (offset == 0 || entries_.contains(offset)) reached = false;
      arrive(offset, reached);
      reached = step(insns_[at_]);
    }
    if (!violation_ && reached) fail("runs off its end");
    return violation_;
  }

 private:
  bool fail(std::string what) {
    if (!violation_)
      violation_ = Violation{.offset = at_ < insns_.size() ? insns_[at_].offset : 0, .what = std::move(what)};
    return false;
  }

  bool decode() {
    for (u32 offset = 0; offset < block_.code_size;) {
      Decoded& insn = insns_.emplace_back();
      insn.offset = offset;
      if (!ZYAN_SUCCESS(
              ZydisDecoderDecodeFull(&decoder(), code_ + offset, block_.code_size - offset, &insn.in, insn.operands))) {
        at_ = static_cast<u32>(insns_.size() - 1);
        return fail("no instruction");
      }
      starts_[offset] = static_cast<u32>(insns_.size() - 1);
      offset += insn.in.length;
    }
    return true;
  }

  u32 offset_of(const u8* at) const { return static_cast<u32>(at - block_.code); }
  bool inside(const u8* at) const { return at >= block_.code && at < block_.code + block_.code_size; }

  /// What the block's tables say.
  bool collect() {
    for (u32 i = static_cast<u32>(tables_.sites.size()); i-- > 0 && tables_.sites[i].block == &block_;) {
      const Site& site = tables_.sites[i];
      if (site.kind == Site::Kind::Access) sites_[site.slot] = &site;
    }
    for (u32 i = static_cast<u32>(tables_.edges.size()); i-- > 0 && tables_.edges[i].from == &block_;) {
      const Edge& edge = tables_.edges[i];
      if (!inside(edge.stub)) return fail("an edge whose stub is elsewhere");
      entries_[offset_of(edge.stub)] = true;
      if (edge.place != nullptr) continue;
      if (layout_.object->edges[edge.slot] != reinterpret_cast<u64>(edge.stub))
        return fail("an edge that leads elsewhere");
      edges_[layout_.edge(edge.slot).disp] = &edge;
    }
    entries_[offset_of(block_.entry)] = true;
    for (const Boundary& boundary : block_.boundaries) boundaries_[boundary.host] = true;
    for (const Decoded& insn : insns_) {
      const auto target = relative_target(insn);
      if (target && *target <= insn.offset) backwards_[static_cast<u32>(*target)] = true;
    }
    return true;
  }

  static std::optional<i64> relative_target(const Decoded& insn) {
    const auto& operand = insn.operands[0];
    if (insn.in.operand_count == 0 || operand.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !operand.imm.is_relative)
      return {};
    return i64{insn.offset} + insn.in.length + operand.imm.value.s;
  }

  // --- States

  State unknown() {
    State state;
    for (auto& value : state.reg) value = symbols_.fresh();
    return state;
  }

  /// What is known at this instruction: from the one before, and from branches.
  void arrive(u32 offset, bool reached) {
    const auto pending = pending_.find(offset);
    const bool entry = offset == 0 || entries_.contains(offset);
    if (entry || (!reached && pending == pending_.end())) {
      now_ = unknown();
    } else if (pending != pending_.end()) {
      now_ = reached ? meet(now_, pending->second) : pending->second;
    }
    if (pending != pending_.end()) pending_.erase(pending);
    const bool boundary = boundaries_.contains(offset);
    if (boundary || backwards_.contains(offset)) {
      std::erase_if(now_.cells, [&](const auto& cell) { return !lasts(cell.first); });
      now_.reg[kT1] = symbols_.fresh();
      now_.reg[kT2] = symbols_.fresh();
      now_.flags = {};
      now_.page_facts.clear();
    }
    if (boundary) {
      // C++ may come in here, when it has executed the instruction before.
      std::erase_if(now_.facts, [](const Fact& fact) { return fact.alone; });
    }
    if (backwards_.contains(offset)) loops_[offset] = now_;
  }

  State meet(const State& a, const State& b) {
    State both = a;
    for (unsigned i = 0; i < 16; ++i) {
      if (!(a.reg[i] == b.reg[i])) both.reg[i] = symbols_.fresh();
    }
    std::erase_if(both.cells, [&](const auto& cell) {
      const auto other = b.cells.find(cell.first);
      return other == b.cells.end() || !(other->second == cell.second);
    });
    std::erase_if(both.facts, [&](const Fact& fact) { return std::ranges::find(b.facts, fact) == b.facts.end(); });
    std::erase_if(both.page_facts,
                  [&](const PageFact& fact) { return std::ranges::find(b.page_facts, fact) == b.page_facts.end(); });
    if (!(a.flags == b.flags)) both.flags = {};
    return both;
  }

  /// A branch from here, in `state`.
  bool go(i64 target, const State& state) {
    if (target >= 0 && target < block_.code_size) {
      const auto offset = static_cast<u32>(target);
      if (!starts_.contains(offset)) return fail("a jump into an instruction");
      if (offset > insns_[at_].offset) {
        const auto pending = pending_.find(offset);
        if (pending == pending_.end()) {
          pending_[offset] = state;
        } else {
          pending->second = meet(pending->second, state);
        }
        return true;
      }
      return go_back(offset, state);
    }
    const u8* const to = block_.code + target;
    if (to == thunks_.jump_miss) return true;
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

  // --- The context

  bool is_guest_register(i32 at) const { return at >= layout_.registers && at < layout_.registers + 16 * 8; }
  /// From instruction to instruction, and through a call of C++ for a check.
  bool lasts(i32 at) const {
    return is_guest_register(at) || std::ranges::find(layout_.segment_base, at) != std::end(layout_.segment_base);
  }

  struct Field {
    i32 at;
    u32 size;
    bool written;
  };
  /// What translated code reads and writes, but for slots, edges, page entries and jumps.
  std::vector<Field> fields() const {
    const auto& l = layout_;
    std::vector<Field> fields{
        {l.registers, 16 * 8, true},
        {l.rflags, 8, true},
        {l.attention, 1, false},
        {l.at(&Context::flags_ax).disp, 8, false},
        {l.at(&Context::spill).disp, sizeof(Context::spill), true},
        {l.at(&Context::target).disp, 8, true},
        {l.at(&Context::vectors_loaded).disp, 1, false},
    };
    for (const i32 base : l.segment_base) fields.push_back({base, 8, false});
    return fields;
  }
  bool is_field(i32 at, u32 size, bool written) const {
    for (const Field& field : fields()) {
      if (at >= field.at && at + i64{size} <= field.at + i64{field.size} && (!written || field.written)) return true;
    }
    return false;
  }

  /// The slot field at `at`: its site and which field it is.
  struct SlotField {
    const Site* site = nullptr;
    enum class Which : u8 { Base, Limit, Delta } which = Which::Base;
  };
  SlotField slot_field(i32 at) const {
    for (const auto& [slot, site] : sites_) {
      if (at == layout_.slot(slot, &Slot::base).disp) return {site, SlotField::Which::Base};
      if (at == layout_.slot(slot, &Slot::limit).disp) return {site, SlotField::Which::Limit};
      if (at == layout_.slot(slot, &Slot::delta).disp) return {site, SlotField::Which::Delta};
    }
    return {};
  }

  struct PageField {
    enum class Which : u8 { None, Read, Write, Delta } which = Which::None;
    unsigned view = 0;
    /// Of PageTag and PageDelta.
    u32 number() const { return view << 1 | (which == Which::Write ? 1 : 0); }
  };
  PageField page_field(i32 at) const {
    for (unsigned view = 0; view < 3; ++view) {
      if (at == layout_.page(view, &PageEntry::read_page, T2).disp) return {PageField::Which::Read, view};
      if (at == layout_.page(view, &PageEntry::write_page, T2).disp) return {PageField::Which::Write, view};
      if (at == layout_.page(view, &PageEntry::delta, T2).disp) return {PageField::Which::Delta, view};
    }
    return {};
  }

  // --- Memory operands

  static bool is_memory(const ZydisDecodedOperand& operand) {
    return operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type != ZYDIS_MEMOP_TYPE_AGEN;
  }
  static bool is_written(const ZydisDecodedOperand& operand) {
    return operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
  }

  std::optional<Value> address(const ZydisDecodedOperand& operand) {
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
  bool check_context(const ZydisDecodedOperand& operand, const ZydisDecodedInstruction& in) {
    const auto& mem = operand.mem;
    const auto at = static_cast<i32>(mem.disp.has_displacement ? mem.disp.value : 0);
    const u32 size = operand.size / 8u;
    const bool written = is_written(operand);
    if (mem.base == ZYDIS_REGISTER_NONE && mem.index == ZYDIS_REGISTER_NONE) {
      if (is_field(at, size, written)) return true;
      if (edges_.contains(at)) {
        const bool jump = in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL;
        return jump || fail("an edge that is not jumped through");
      }
      if (slot_field(at).site != nullptr && size == 8) return true;  // who stores to it: store()
      return fail("a field of the context that is no business of translated code");
    }
    if (mem.base != ZYDIS_REGISTER_NONE && mem.index == ZYDIS_REGISTER_NONE) {
      const Symbol* const index = is_gpr64(mem.base) ? symbols_.single(now_.reg[number_of(mem.base)]) : nullptr;
      if (page_field(at).which == PageField::Which::None || index == nullptr || index->kind != Kind::PageIndex ||
          written || size != 8)
        return fail("an indexed access to the context");
      return true;
    }
    const Symbol* const index = is_gpr64(mem.index) ? symbols_.single(now_.reg[number_of(mem.index)]) : nullptr;
    const bool jump = in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL;
    if (mem.base != ZYDIS_REGISTER_NONE || mem.scale != 8 || at != layout_.jump(block_.mode, T2).disp || !jump ||
        index == nullptr || index->kind != Kind::LowWord)
      return fail("an indexed access to the context");
    return true;
  }

  /// An access to guest memory: within what a check let pass.
  bool check_access(const ZydisDecodedOperand& operand) {
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

  bool check_memory(const Decoded& insn) {
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

  // --- Instructions

  /// False: what follows is not reached from here.
  bool step(const Decoded& insn) {
    const auto& in = insn.in;
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
    // What is known where it was not taken.
    if (in.mnemonic == ZYDIS_MNEMONIC_JRCXZ) {
      constant_checked(now_.reg[kT1]);
    } else if (in.mnemonic == ZYDIS_MNEMONIC_JZ && flags.with == Compared::With::Zero) {
      constant_checked(flags.value);
    } else if (in.mnemonic == ZYDIS_MNEMONIC_JNZ && flags.with == Compared::With::SegmentBase) {
      const Site& site = *sites_[flags.slot];
      learn(site, Symbols::constant(static_cast<u64>(site.disp)), site.extent);
    } else if (in.mnemonic == ZYDIS_MNEMONIC_JNBE && flags.with == Compared::With::Limit) {
      const Site& site = *sites_[flags.slot];
      learn(site, symbols_.plus(flags.value, static_cast<u64>(site.low)), site.extent);
    } else if (in.mnemonic == ZYDIS_MNEMONIC_JNBE && flags.with == Compared::With::PageEnd) {
      now_.page_facts.push_back({.address = flags.value, .number = flags.slot, .size = flags.size});
    }
    return true;
  }

  void learn(const Site& site, const Value& start, u64 size) {
    std::erase_if(now_.facts, [&](const Fact& fact) { return fact.slot == site.slot; });
    now_.facts.push_back({.slot = site.slot, .start = start, .size = size, .write = site.write, .alone = site.alone});
  }

  /// This value is not zero: the slot of a page is not empty if it is its delta.
  void constant_checked(const Value& value) {
    const Symbol* const symbol = symbols_.single(value);
    if (symbol == nullptr || symbol->kind != Kind::SlotDelta) return;
    const auto found = sites_.find(symbol->number);
    if (found == sites_.end() || found->second->access != AccessKind::Constant) return;
    const Site& site = *found->second;
    learn(site, Symbols::constant(static_cast<u64>(site.disp) & kPageMask), site.extent);
  }

  bool through_table(const ZydisDecodedOperand& operand) const {
    const auto at = static_cast<i32>(operand.mem.disp.value);
    return operand.mem.index != ZYDIS_REGISTER_NONE || edges_.contains(at);
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
    for (unsigned i = 0; i < static_cast<unsigned>(Call::kCount); ++i) {
      if (to == thunks_.call[i]) return call_out(static_cast<Call>(i));
    }
    return fail("a call out of the block");
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
        now_.reg[kT1] = symbols_.fresh();
        now_.reg[kT2] = symbols_.fresh();
        std::erase_if(now_.facts, [&](const Fact& fact) { return fact.slot == site->slot; });
        now_.page_facts.clear();
        std::erase_if(now_.cells, [&](const auto& cell) { return !lasts(cell.first); });
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

  /// Everything that only computes, loads and stores.
  bool compute(const Decoded& insn) {
    const auto& in = insn.in;
    const auto& to = insn.operands[0];
    const auto& from = insn.operands[1];
    const bool reg_to = in.operand_count >= 1 && to.type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr64(to.reg.value);
    const unsigned target = reg_to ? number_of(to.reg.value) : 0;
    std::optional<Value> result;
    Compared flags;
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
        if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
          result = symbols_.plus(now_.reg[target], sign * from.imm.value.u);
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
          const PageField field = page_field(static_cast<i32>(from.mem.disp.value));
          const Symbol* const index = symbols_.single(now_.reg[number_of(from.mem.base)]);
          if (field.which != PageField::Which::Delta && index->of == now_.reg[target])
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

  /// What guest registers hold: a symbol and a constant, so that addresses made of them do not grow.
  Value simple(const Value& value) { return value.count <= 1 ? value : symbols_.fresh(); }

  static bool is_context(const ZydisDecodedOperand& operand) { return operand.mem.segment == ZYDIS_REGISTER_GS; }

  Value load(const ZydisDecodedOperand& from, unsigned target) {
    const auto at = static_cast<i32>(from.mem.disp.value);
    if (from.mem.base != ZYDIS_REGISTER_NONE) {
      const PageField field = page_field(at);
      const Symbol* const index = symbols_.single(now_.reg[number_of(from.mem.base)]);
      if (field.which != PageField::Which::Delta || index == nullptr) return symbols_.fresh();
      return symbols_.of({.kind = Kind::PageDelta, .number = field.view, .of = Value(index->of)});
    }
    const SlotField slot = slot_field(at);
    if (slot.site != nullptr) {
      if (target != kT1 && target != kT2) fail("a slot's field in a register that outlives checks");
      if (slot.which == SlotField::Which::Limit) return symbols_.fresh();
      const bool base = slot.which == SlotField::Which::Base;
      return symbols_.of({.kind = base ? Kind::SlotBase : Kind::SlotDelta, .number = slot.site->slot, .of = {}});
    }
    auto& cell = now_.cells.try_emplace(at, symbols_.fresh()).first->second;
    return cell;
  }

  bool store(const ZydisDecodedOperand& to, const ZydisDecodedOperand& from) {
    const auto at = static_cast<i32>(to.mem.disp.value);
    const SlotField slot = slot_field(at);
    const bool whole_register = from.type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr64(from.reg.value);
    if (slot.site != nullptr) {
      // Only what a page entry said that was checked for this address.
      const Symbol* const delta = whole_register ? symbols_.single(now_.reg[number_of(from.reg.value)]) : nullptr;
      const Site& site = *slot.site;
      if (slot.which != SlotField::Which::Delta || !site.page_entries || delta == nullptr ||
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
    if (whole_register) now_.cells[at] = simple(now_.reg[number_of(from.reg.value)]);
    return true;
  }

  Compared compare(const Value& left, const ZydisDecodedOperand& right) {
    if (right.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
      const Symbol* const tag = symbols_.single(left);
      if (tag == nullptr || tag->kind != Kind::PageTag || right.imm.value.u > kPageSize) return {};
      return {.with = Compared::With::PageEnd,
              .slot = tag->number,
              .value = tag->of,
              .size = kPageSize - right.imm.value.u};
    }
    if (!is_memory(right) || !is_context(right) || right.mem.base != ZYDIS_REGISTER_NONE) return {};
    const SlotField slot = slot_field(static_cast<i32>(right.mem.disp.value));
    if (slot.site == nullptr) return {};
    const Site& site = *slot.site;
    if (slot.which == SlotField::Which::Limit && site.access == AccessKind::Range && !site.page_entries) {
      const Value base = symbols_.of({.kind = Kind::SlotBase, .number = site.slot, .of = {}});
      const Value address = symbols_.sum(left, base);
      for (unsigned i = 0; i < address.count; ++i) {
        const Kind kind = symbols_.symbol(address.terms[i].symbol).kind;
        if (kind == Kind::SlotBase || kind == Kind::SlotDelta) return {};
      }
      return {.with = Compared::With::Limit, .slot = site.slot, .value = address, .size = 0};
    }
    if (slot.which == SlotField::Which::Base && site.access == AccessKind::Segment && site.segment < 6) {
      const auto cell = now_.cells.find(layout_.segment_base[site.segment]);
      if (cell == now_.cells.end() || !(cell->second == left)) return {};
      return {.with = Compared::With::SegmentBase, .slot = site.slot, .value = {}, .size = 0};
    }
    return {};
  }

  /// Forgets what the instruction writes.
  void clobber(const Decoded& insn) {
    for (unsigned i = 0; i < insn.in.operand_count; ++i) {
      const auto& operand = insn.operands[i];
      if (!is_written(operand)) continue;
      if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_gpr(operand.reg.value)) {
        now_.reg[number_of(operand.reg.value)] = symbols_.fresh();
      } else if (is_memory(operand) && is_context(operand)) {
        const auto at = static_cast<i32>(operand.mem.disp.value);
        if (slot_field(at).site != nullptr) fail("a store to a slot");
        std::erase_if(now_.cells,
                      [&](const auto& cell) { return cell.first < at + operand.size / 8 && at < cell.first + 8; });
      }
    }
  }

  const Block& block_;
  const u8* const code_;
  const Layout& layout_;
  const Thunks& thunks_;
  const Tables& tables_;
  std::vector<Decoded> insns_;
  std::map<u32, u32> starts_;
  std::map<u32, const Site*> sites_;  ///< by slot
  std::map<i32, const Edge*> edges_;  ///< by distance
  std::map<u32, bool> entries_, boundaries_, backwards_;
  std::map<u32, State> pending_, loops_;
  Symbols symbols_;
  State now_;
  u32 at_ = 0;
  std::optional<Violation> violation_;
};

void print_line(u64 address, const u8* bytes, unsigned length, bool here) {
  ZydisDisassembledInstruction text;
  std::fprintf(stderr, "%s %016llx ", here ? ">>" : "  ", static_cast<unsigned long long>(address));
  for (unsigned i = 0; i < length; ++i) std::fprintf(stderr, " %02x", bytes[i]);
  const bool known = ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, address, bytes, length, &text));
  std::fprintf(stderr, "%*s%s\n", static_cast<int>(3 * (16 - std::min(length, 15u))), "", known ? text.text : "?");
}

void print_code(u64 address, const u8* bytes, u64 size, u64 mark) {
  for (u64 at = 0; at < size;) {
    ZydisDecodedInstruction in;
    const bool known = ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder(), nullptr, bytes + at, size - at, &in));
    const unsigned length = known ? in.length : 1;
    print_line(address + at, bytes + at, length, at == mark);
    at += length;
  }
}

}  // namespace

}  // namespace verify

std::optional<Violation> find_violation(const Block& block, const u8* code, const Layout& layout, const Thunks& thunks,
                                        const Tables& tables) {
  return verify::Verifier(block, code, layout, thunks, tables).run();
}

void report_violation(const Block& block, const u8* code, const Violation& violation) {
  std::fprintf(stderr,
               "vireo: translated code is not safe: %s, at offset %u of the block for %#llx. This is a bug in vireo.\n",
               violation.what.c_str(), violation.offset, static_cast<unsigned long long>(block.rip));
  std::fprintf(stderr, "host code:\n");
  verify::print_code(reinterpret_cast<u64>(block.code), code, block.code_size, violation.offset);
  std::fprintf(stderr, "guest code:\n");
  verify::print_code(block.rip, block.source.data(), block.source.size(), ~u64{0});
  std::abort();
}

}  // namespace vireo::cpu::translate
