#include "cpu/translate/generate.h"
#include "cpu/translate/rewrite.h"

namespace vireo::cpu::translate {

using namespace vm::x86;

void Generator::emit_instruction() {
  const GuestInsn& insn = plan_->insns[at_];
  switch (insn.kind) {
    case Kind::Plain:
      return emit_plain(insn);
    case Kind::Lea:
      return emit_lea(insn);
    case Kind::Push:
      return emit_push(insn);
    case Kind::Pop:
      return emit_pop(insn);
    case Kind::Leave:
      return emit_leave(insn);
    case Kind::Jump:
      return emit_edge(insn.target);
    case Kind::Branch:
      return emit_branch(insn);
    case Kind::Call:
      return emit_call(insn);
    case Kind::JumpTo:
      return emit_jump_to(insn);
    case Kind::CallTo:
      return emit_call_to(insn);
    case Kind::Return:
      return emit_return(insn);
    case Kind::Cli: {
      // IF, with what the mode says of the byte's other flags; OF is in the host's flags.
      Mem mem = field(layout_.rflags + 1);
      return e_.store_byte(mem, mode_.bits & Mode::Df ? 4 : 0);
    }
    case Kind::Sti:
      return emit_sti(insn);
    case Kind::PushFlags:
      return emit_push_flags();
    case Kind::SwapGs:
      return emit_swapgs();
    case Kind::ReadTsc:
      return emit_read_tsc(insn);
    case Kind::ReadSegment:
      return emit_read_segment(insn);
    case Kind::Strings:
      return emit_strings(insn);
    case Kind::Cross:
      return emit_cross(insn);
    case Kind::Nothing:
    case Kind::Helper:
    case Kind::HelperEnd:
      return;
  }
}

namespace {

/// A register operand that is not in its home: what stands in for it.
struct Stand {
  Host host;
  u8 reg;
  bool high, read, written;
};

Host& place_of(Substitution& with, RegOperand::Place place) {
  switch (place) {
    case RegOperand::ModrmReg:
      return with.modrm_reg;
    case RegOperand::ModrmRm:
      return with.modrm_rm;
    case RegOperand::Vvvv:
      return with.vvvv;
    default:
      return with.opcode;
  }
}

}  // namespace

void Generator::emit_plain(const GuestInsn& insn) {
  Substitution with;
  if (insn.mem.present) with.mem = access(plan_->memory[at_], insn.mem);
  if (insn.reads_rcx) {
    if (insn.mem.present) {
      e_.lea(T2, with.mem);
      with.mem = {.base = T2};
    }
    e_.mov(T1, home(RCX));
  }
  Stand stands[2];
  unsigned count = 0;
  for (unsigned i = 0; i < insn.operand_count; ++i) {
    const RegOperand& operand = insn.regs[i];
    if (operand.size == 1) with.byte_regs = true;
    Host& place = place_of(with, operand.place);
    place = home(operand.reg);
    if (place != Host::None && !operand.high) continue;
    Stand* stand = nullptr;
    for (unsigned k = 0; k < count; ++k) {
      if (stands[k].reg == operand.reg && stands[k].high == operand.high) stand = &stands[k];
    }
    if (stand == nullptr) {
      stand = &stands[count];
      *stand = {
          .host = count == 0 ? T2 : T1, .reg = operand.reg, .high = operand.high, .read = false, .written = false};
      ++count;
    }
    stand->read = stand->read || operand.read || operand.size < 4;
    stand->written = stand->written || operand.written;
    place = stand->host;
  }
  for (unsigned k = 0; k < count; ++k) {
    if (stands[k].high) {
      e_.rorx(stands[k].host, home(stands[k].reg), 8);
    } else if (stands[k].read) {
      e_.load(stands[k].host, layout_.gpr(stands[k].reg));
    }
  }
  emit_rewritten(e_, insn, with);
  for (unsigned k = 0; k < count; ++k) {
    if (!stands[k].written) continue;
    if (stands[k].high) {
      e_.rorx(home(stands[k].reg), stands[k].host, 56);
    } else {
      e_.store(layout_.gpr(stands[k].reg), stands[k].host);
    }
  }
}

void Generator::emit_lea(const GuestInsn& insn) {
  const RegOperand& to = insn.regs[0];
  const Host host = home(to.reg) != Host::None ? home(to.reg) : T2;
  const MemOperand& from = insn.mem;
  if (from.base < 0 && from.index < 0) {
    const auto value = static_cast<u64>(from.disp);
    e_.mov_imm(host, to.size == 8 ? value : static_cast<u32>(value));
  } else {
    Mem mem{.disp = static_cast<i32>(from.disp)};
    if (from.base >= 0) {
      mem.base = home(static_cast<unsigned>(from.base));
      if (mem.base == Host::None) {
        e_.load(T1, layout_.gpr(static_cast<unsigned>(from.base)));
        mem.base = T1;
      }
    }
    if (from.index >= 0) {
      mem.index = home(static_cast<unsigned>(from.index));
      mem.scale = from.scale;
      if (mem.index == Host::None) {
        e_.load(T2, layout_.gpr(static_cast<unsigned>(from.index)));
        mem.index = T2;
      }
    }
    if (to.size == 8 && !from.narrow) {
      e_.lea(host, mem);
    } else {
      e_.lea32(host, mem);
    }
  }
  if (home(to.reg) == Host::None) e_.store(layout_.gpr(to.reg), host);
}

void Generator::load_pointer(Host to, const Mem& from) { mode_.code32() ? e_.load32(to, from) : e_.load(to, from); }

void Generator::store_pointer(const Mem& to, Host from) { mode_.code32() ? e_.store32(to, from) : e_.store(to, from); }

void Generator::store_pointer_imm(const Mem& to, i32 value) {
  mode_.code32() ? e_.store_dword(to, static_cast<u32>(value)) : e_.store_imm32(to, value);
}

void Generator::lea_pointer(Host to, const Mem& from) { mode_.code32() ? e_.lea32(to, from) : e_.lea(to, from); }

Mem Generator::stack_slot(i32 disp) {
  const Access& access = plan_->stack[at_];
  e_.load(T1, layout_.slot(group_slots_[access.group], &Slot::delta));
  return {.base = kStack, .index = T1, .disp = disp};
}

void Generator::emit_push(const GuestInsn& insn) {
  if (insn.mem.present) {
    load_pointer(T2, access(plan_->memory[at_], insn.mem));
    store_pointer(stack_slot(-insn.width), T2);
  } else if (insn.operand_count == 0) {
    store_pointer_imm(stack_slot(-insn.width), static_cast<i32>(insn.imm));
  } else {
    Host from = home(insn.regs[0].reg);
    if (from == Host::None) {
      from = T2;
      e_.load(T2, layout_.gpr(insn.regs[0].reg));
    }
    store_pointer(stack_slot(-insn.width), from);
  }
  lea_pointer(kStack, {.base = kStack, .disp = -insn.width});
}

void Generator::emit_push_flags() {
  e_.flags_to(T2);
  e_.mask(T2, layout_.at(&Context::status_mask));
  e_.load(T1, field(layout_.rflags));
  e_.mask(T1, layout_.at(&Context::pushed_mask));
  e_.lea(T2, {.base = T2, .index = T1});
  const i32 width = mode_.code32() ? 4 : 8;
  store_pointer(stack_slot(-width), T2);
  lea_pointer(kStack, {.base = kStack, .disp = -width});
}

/// An interrupt that was held back is taken after the next instruction: by the run loop, which knows how.
void Generator::emit_sti(const GuestInsn& insn) {
  const auto index = static_cast<u32>(tables_.sites.size());
  Site site;
  site.kind = Site::Kind::Leave;
  site.block = block_;
  site.boundary = static_cast<u16>(at_);
  site.disp = insn.length;
  tables_.sites.push_back(site);
  e_.store_byte(field(layout_.rflags + 1), mode_.bits & Mode::Df ? 6 : 2);
  e_.load_byte(T1, field(layout_.interrupts_held));
  u8* const none = e_.jrcxz_later();
  cold_.push_back({.kind = Cold::Kind::Site, .from = {e_.jmp_later()}, .index = index, .call = Call::Leave});
  e_.here8(none);
}

void Generator::emit_pop(const GuestInsn& insn) {
  const u8 reg = insn.regs[0].reg;
  const Host to = home(reg) != Host::None ? home(reg) : T2;
  load_pointer(to, stack_slot(0));
  if (reg == RSP) return;
  if (to == T2) e_.store(layout_.gpr(reg), T2);
  lea_pointer(kStack, {.base = kStack, .disp = insn.width});
}

void Generator::emit_leave(const GuestInsn& insn) {
  Mem saved = stack_slot(0);
  saved.base = home(RBP);
  e_.mov(T2, home(RBP));
  load_pointer(home(RBP), saved);
  lea_pointer(kStack, {.base = T2, .disp = insn.width});
}

void Generator::emit_swapgs() {
  const Mem base = layout_.base_of(GS, false), other = field(layout_.kernel_gs_base);
  e_.load(T1, base);
  e_.load(T2, other);
  e_.store(other, T1);
  e_.store(base, T2);
}

void Generator::emit_read_tsc(const GuestInsn& insn) {
  const Mem by_helper = layout_.at(&Context::tsc_by_helper);
  Cold cold{.kind = Cold::Kind::Helper, .index = static_cast<u32>(tables_.helpers.size() - 1)};
  if (plan_->flags_dead(at_)) {
    e_.cmp_byte(by_helper, 0);
    cold.from[0] = e_.jcc_later(Cond::NE);
  } else {
    e_.load_byte(T1, by_helper);
    u8* const none = e_.jrcxz_later();
    cold.from[0] = e_.jmp_later();
    e_.here8(none);
  }
  cold_.push_back(cold);
  vectors_checked_ = false;  // after the helper
  const bool processor = insn.in.mnemonic == ZYDIS_MNEMONIC_RDTSCP;
  const Host low = home(RAX), high = home(RDX);
  e_.rdtsc(processor);
  e_.rorx(high, high, 32);
  e_.lea(low, {.base = low, .index = high});
  e_.load(T1, layout_.at(&Context::tsc_offset));
  e_.lea(low, {.base = low, .index = T1});
  e_.load(T1, field(layout_.tsc_offset));
  e_.lea(low, {.base = low, .index = T1});
  e_.rorx(high, low, 32);
  e_.mov32(high, high);
  e_.mov32(low, low);
  if (processor) e_.load32(home(RCX), field(layout_.tsc_aux));
}

void Generator::emit_read_segment(const GuestInsn& insn) {
  const u8 reg = insn.regs[0].reg;
  const Host to = home(reg) != Host::None ? home(reg) : T2;
  e_.load16(to, field(layout_.segments[insn.imm] + layout_.selector));
  if (to == T2) e_.store(layout_.gpr(reg), T2);
}

/// The checks have seen to the first element; Thunks::strings looks at the last one.
void Generator::emit_strings(const GuestInsn& insn) {
  u64 slots = u64{group_slots_[plan_->memory[at_].group]} * sizeof(Slot);
  if (insn.source.present) slots |= u64{group_slots_[plan_->stack[at_].group]} * sizeof(Slot) << 32;
  e_.mov_imm(T1, tables_.helpers.size() - 1);
  e_.mov_imm(T2, slots);
  e_.call(thunks_.strings[insn.source.present][std::countr_zero(insn.mem.size)]);
  vectors_checked_ = false;  // after the helper
}

namespace {

Crossing crossing_of(const GuestInsn& insn) {
  switch (insn.in.mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
      return Crossing::SystemCall;
    case ZYDIS_MNEMONIC_SYSRET:
      return Crossing::SystemReturn;
    case ZYDIS_MNEMONIC_STAC:
      return Crossing::Stac;
    default:
      return Crossing::Clac;
  }
}

}  // namespace

void Generator::emit_cross(const GuestInsn& insn) {
  e_.mov_imm(T1, tables_.helpers.size() - 1);
  e_.mov_imm(T2, insn.next_rip());
  e_.call(thunks_.cross[static_cast<unsigned>(crossing_of(insn))][block_->mode]);
}

void Generator::emit_branch(const GuestInsn& insn) {
  const auto cond = static_cast<Cond>(insn.in.opcode & 15);
  if (crosses(insn.target)) {
    cold_.push_back({.kind = Cold::Kind::FarBranch, .from = {e_.jcc_later(cond)}, .index = at_});
    return;
  }
  const u32 index = new_edge(insn.target);
  Edge& edge = tables_.edges[index];
  edge.place = e_.jcc_later(cond);
  edge.place_at = e_.at() - 4;
  cold_.push_back({.kind = Cold::Kind::Link, .from = {edge.place}, .index = index});
}

void Generator::emit_expect(u64 expected, const u8* otherwise) {
  const u64 negated = -expected;
  if (mode_.code32()) {
    e_.lea32(T1, {.base = T1, .disp = static_cast<i32>(negated)});
  } else if (negated == static_cast<u64>(static_cast<i64>(static_cast<i32>(negated)))) {
    e_.lea(T1, {.base = T1, .disp = static_cast<i32>(negated)});
  } else {
    e_.mov_imm(T2, negated);
    e_.lea(T1, {.base = T1, .index = T2});
  }
  u8* const same = e_.jrcxz_later();
  e_.jmp(otherwise);
  e_.here8(same);
}

void Generator::emit_return_site(u64 rip) {
  emit_expect(rip, thunks_.return_miss[block_->mode]);
  emit_edge(rip);
}

void Generator::emit_call(const GuestInsn& insn) {
  const u64 behind = insn.next_rip();
  const Mem slot = stack_slot(-insn.width);
  if (insn.code32()) {
    e_.store_dword(slot, static_cast<u32>(behind));
  } else if (behind == static_cast<u64>(static_cast<i64>(static_cast<i32>(behind)))) {
    e_.store_imm32(slot, static_cast<i32>(behind));
  } else {
    e_.mov_imm(T2, behind);
    e_.store(slot, T2);
  }
  lea_pointer(kStack, {.base = kStack, .disp = -insn.width});
  const u32 index = new_edge(insn.target);
  Edge& edge = tables_.edges[index];
  Cold cold{.kind = Cold::Kind::Link, .index = index};
  if (crosses(insn.target)) {
    e_.call(layout_.edge(edge.slot));
  } else {
    edge.place = e_.call_later();
    edge.place_at = e_.at() - 4;
    cold.from[0] = edge.place;
  }
  cold_.push_back(cold);
  emit_return_site(behind);
}

void Generator::target_to_t1(const GuestInsn& insn) {
  if (insn.mem.present) {
    load_pointer(T1, access(plan_->memory[at_], insn.mem));
  } else if (home(insn.regs[0].reg) != Host::None) {
    e_.mov(T1, home(insn.regs[0].reg));
  } else {
    e_.load(T1, layout_.gpr(insn.regs[0].reg));
  }
  e_.store(layout_.at(&Context::target), T1);
}

void Generator::emit_jump_to(const GuestInsn& insn) {
  target_to_t1(insn);
  e_.movzx16(T2, T1);
  e_.jmp(layout_.jump(block_->mode, T2));
}

void Generator::emit_call_to(const GuestInsn& insn) {
  target_to_t1(insn);
  const Access& access = plan_->stack[at_];
  e_.load(T2, layout_.slot(group_slots_[access.group], &Slot::delta));
  const Mem slot{.base = kStack, .index = T2, .disp = -insn.width};
  const u64 behind = insn.next_rip();
  if (insn.code32()) {
    e_.store_dword(slot, static_cast<u32>(behind));
  } else if (behind == static_cast<u64>(static_cast<i64>(static_cast<i32>(behind)))) {
    e_.store_imm32(slot, static_cast<i32>(behind));
  } else {
    e_.mov_imm(T1, behind);
    e_.store(slot, T1);
    e_.load(T1, layout_.at(&Context::target));
  }
  lea_pointer(kStack, {.base = kStack, .disp = -insn.width});
  e_.movzx16(T2, T1);
  e_.call(layout_.jump(block_->mode, T2));
  emit_return_site(behind);
}

void Generator::emit_return(const GuestInsn& insn) {
  load_pointer(T1, stack_slot(0));
  lea_pointer(kStack, {.base = kStack, .disp = static_cast<i32>(insn.width + insn.imm)});
  e_.store(layout_.at(&Context::target), T1);
  e_.ret();
}

}  // namespace vireo::cpu::translate
