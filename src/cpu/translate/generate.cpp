#include "cpu/translate/generate.h"

#include "cpu/translate/rewrite.h"

namespace vireo::cpu::translate {

using namespace vm::x86;

namespace {

constexpr unsigned kNowhere = ~0u;

/// Where the block looks for interrupts: a place with dead flags if there is one. A block without such a place that
/// only goes forward needs none, since every loop has a way back.
unsigned choose_attention(const Plan& plan, u64 start) {
  for (unsigned at = 0; at < plan.count; ++at) {
    if (plan.flags_dead(at)) return at;
  }
  for (unsigned at = 0; at < plan.count; ++at) {
    const GuestInsn& insn = plan.insns[at];
    switch (insn.kind) {
      case Kind::Jump:
      case Kind::Branch:
      case Kind::Call:
        if (insn.target <= start || insn.target - start > kPageSize) return 0;
        break;
      case Kind::JumpTo:
      case Kind::CallTo:
      case Kind::Return:
        return 0;
      default:
        break;
    }
  }
  return kNowhere;
}

}  // namespace

void Generator::begin() {
  cold_.clear();
  vectors_checked_ = false;
  group_slots_.assign(plan_->groups.size(), 0);
  attention_at_ = choose_attention(*plan_, block_->rip);
  block_->code = e_.at();
  emit_expect(block_->rip, thunks_.jump_miss);
  block_->entry = e_.at();
}

void Generator::begin_instruction() {
  const GuestInsn& insn = plan_->insns[at_];
  block_->boundaries.push_back(
      {.guest = static_cast<u16>(insn.rip - block_->rip), .host = static_cast<u16>(e_.at() - block_->code)});
  if (at_ == attention_at_) emit_attention();
  if (insn.vector && !vectors_checked_) emit_vectors_check();
  // Checks that others rely on first: when one of the others fails, the interpreter executes the instruction and code
  // goes on behind it.
  for (const bool alone : {false, true}) {
    for (std::size_t g = 0; g < plan_->groups.size(); ++g) {
      if (plan_->groups[g].check_at == at_ && plan_->groups[g].alone() == alone) emit_check(static_cast<u16>(g));
    }
  }
}

void Generator::finish() {
  const GuestInsn& last = plan_->insns[plan_->count - 1];
  switch (last.kind) {
    case Kind::Jump:
    case Kind::Call:
    case Kind::JumpTo:
    case Kind::CallTo:
    case Kind::Return:
    case Kind::Cross:
    case Kind::HelperEnd:
      break;
    default:
      emit_edge(last.next_rip());
  }
  for (std::size_t i = 0; i < cold_.size(); ++i) emit_cold(Cold(cold_[i]));
  if (block_->crossing()) {
    block_->via = e_.at();
    e_.mov_imm(T1, block_->rip);
    e_.store(layout_.at(&Context::target), T1);
    e_.movzx16(T2, T1);
    e_.jmp(layout_.jump(block_->mode, T2));
  }
  block_->code_size = static_cast<u32>(e_.at() - block_->code);
}

void Generator::emit_attention() {
  const auto index = static_cast<u32>(tables_.sites.size());
  Site site;
  site.kind = Site::Kind::Leave;
  site.block = block_;
  site.boundary = static_cast<u16>(at_);
  tables_.sites.push_back(site);
  Cold cold{.kind = Cold::Kind::Site, .index = index, .call = Call::Leave};
  if (plan_->flags_dead(at_)) {
    e_.cmp_byte(field(layout_.attention), 0);
    cold.from[0] = e_.jcc_later(Cond::NE);
  } else {
    e_.load_byte(T1, field(layout_.attention));
    u8* const none = e_.jrcxz_later();
    cold.from[0] = e_.jmp_later();
    e_.here8(none);
  }
  cold_.push_back(cold);
}

void Generator::emit_vectors_check() {
  vectors_checked_ = true;
  Cold cold{.kind = Cold::Kind::Vectors};
  if (plan_->flags_dead(at_)) {
    e_.cmp_byte(layout_.at(&Context::vectors_loaded), 0);
    cold.from[0] = e_.jcc_later(Cond::E);
    cold.back = e_.at();
    cold_.push_back(cold);
    return;
  }
  e_.load_byte(T1, layout_.at(&Context::vectors_loaded));
  u8* const missing = e_.jrcxz_later();
  e_.byte(0xEB);  // jmp over the call
  e_.byte(5);
  e_.here8(missing);
  e_.call(thunks_.load_vectors);
}

void Generator::emit_helper() {
  e_.mov_imm(T1, tables_.helpers.size() - 1);
  e_.call(thunks_.call[static_cast<unsigned>(Call::Helper)]);
  vectors_checked_ = false;
}

u32 Generator::new_edge(u64 target) {
  Edge edge;
  edge.target = target;
  edge.from = block_;
  if (crosses(target)) edge.slot = tables_.edge_slots++;
  tables_.edges.push_back(edge);
  return static_cast<u32>(tables_.edges.size() - 1);
}

void Generator::emit_edge(u64 target) {
  const u32 index = new_edge(target);
  Edge& edge = tables_.edges[index];
  Cold cold{.kind = Cold::Kind::Link, .index = index};
  if (crosses(target)) {
    e_.jmp(layout_.edge(edge.slot));
  } else {
    edge.place = e_.jmp_later();
    edge.place_at = e_.at() - 4;
    cold.from[0] = edge.place;
  }
  cold_.push_back(cold);
}

void Generator::emit_cold(const Cold& cold) {
  const u8* const here = e_.at();
  for (u8* from : cold.from) {
    if (from != nullptr) e_.here32(from);
  }
  switch (cold.kind) {
    case Cold::Kind::Site:
      if (cold.restore_flags) restore_flags(cold.restore_from_memory);
      emit_before_call(cold);
      e_.mov_imm(T1, cold.index);
      e_.call(thunks_.call[static_cast<unsigned>(cold.call)]);
      if (cold.back != nullptr) e_.jmp(cold.back);
      emit_after_call(cold);
      break;
    case Cold::Kind::Link: {
      Edge& edge = tables_.edges[cold.index];
      edge.stub = here;
      if (edge.place == nullptr) context_.edges[edge.slot] = reinterpret_cast<u64>(here);
      e_.mov_imm(T1, cold.index);
      e_.jmp(thunks_.link);
      break;
    }
    case Cold::Kind::FarBranch:
      emit_edge(plan_->insns[cold.index].target);
      break;
    case Cold::Kind::Helper:
      e_.mov_imm(T1, cold.index);
      e_.call(thunks_.call[static_cast<unsigned>(Call::Helper)]);
      break;
    case Cold::Kind::Vectors:
      e_.call(thunks_.load_vectors);
      e_.jmp(cold.back);
      break;
  }
}

void Generator::emit_before_call(const Cold& cold) {
  if (cold.first == nullptr) return;
  address_to_t1(*cold.group, true);
  e_.mov_imm(T2, tables_.sites[cold.index].slot * sizeof(Slot));
  e_.call(cold.first);
}

/// Where thunks go on that did something else than to fill the slot: kBehindJump behind C++.
void Generator::emit_after_call(const Cold& cold) {
  if (cold.first == nullptr) return;
  const Site& site = tables_.sites[cold.index];
  if (site.bounced) {
    e_.jmp(site.passed);
  } else if (site.parted) {  // the same instruction, whose access goes elsewhere
    at_ = site.first;
    emit_plain(plan_->insns[at_]);
    e_.call(thunks_.write_parts);
    if (at_ + 1u < plan_->count) {
      e_.jmp(block_->code + block_->boundaries[at_ + 1u].host);
    } else {
      emit_edge(plan_->end_rip());
    }
  } else if (!site.alone) {
    emit_edge(plan_->insns[site.boundary].rip);
    tables_.edges.back().apart = true;
  }
}

void make_helper(GuestInsn& insn) {
  switch (insn.kind) {
    case Kind::HelperEnd:
    case Kind::Sti:
    case Kind::Jump:
    case Kind::Call:
    case Kind::JumpTo:
    case Kind::CallTo:
    case Kind::Return:
    case Kind::Cross:
      insn.kind = Kind::HelperEnd;
      break;
    default:
      insn.kind = Kind::Helper;
      break;
  }
  insn.vector = false;
  insn.written_gprs = 0xFFFF;
  insn.flags_read = static_cast<u16>(rflags::kStatus);
  insn.flags_killed = 0;
}

void settle_kind(GuestInsn& insn, bool odd_flags) {
  bool possible = true;
  const auto fits = [](i64 value) { return value == static_cast<i32>(value); };
  if (insn.mem.present) {
    const bool constant = insn.mem.base < 0 && insn.mem.index < 0;
    if (!fits(insn.mem.disp) && !(constant && !insn.mem.based_segment())) possible = false;
    if (insn.mem.agen && constant && insn.mem.narrow) possible = false;
  }
  if ((insn.kind == Kind::Cli || insn.kind == Kind::Sti) && odd_flags) possible = false;
  if (insn.kind == Kind::Lea && (insn.regs[0].size == 2 || insn.operand_count != 1)) possible = false;
  if (insn.kind == Kind::Push && insn.mem.present && insn.mem.size != insn.width) possible = false;
  if (insn.kind == Kind::Plain && may_grow_too_long(insn)) possible = false;
  if (insn.kind == Kind::Plain) {
    // Scratch registers: R11, and RCX where nothing else uses it.
    u8 scratched[4];
    unsigned scratches = 0;
    for (unsigned i = 0; i < insn.operand_count; ++i) {
      const RegOperand& operand = insn.regs[i];
      if (home(operand.reg) != Host::None && !operand.high) continue;
      bool seen = false;
      for (unsigned k = 0; k < scratches; ++k) seen = seen || scratched[k] == (operand.reg | (operand.high ? 16 : 0));
      if (!seen) scratched[scratches++] = static_cast<u8>(operand.reg | (operand.high ? 16 : 0));
      if (operand.high) {
        for (unsigned k = 0; k < insn.operand_count; ++k) {
          if (k != i && insn.regs[k].reg == operand.reg && !insn.regs[k].high &&
              (operand.written || insn.regs[k].written))
            possible = false;
        }
        if (insn.in.mnemonic == ZYDIS_MNEMONIC_CMPXCHG || insn.reads_rcx) possible = false;
      }
    }
    const unsigned available = insn.mem.present ? (insn.reads_rcx ? 0u : 1u) : insn.reads_rcx ? 1u : 2u;
    if (scratches > available) possible = false;
  }
  if (!possible) make_helper(insn);
}

}  // namespace vireo::cpu::translate
