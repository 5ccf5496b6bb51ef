#include "cpu/translate/plan.h"

#include <algorithm>

namespace vireo::cpu::translate {

using namespace vm::x86;

namespace {

/// How far apart accesses of one group may be.
constexpr i64 kRangeExtent = 1024, kUserSegmentExtent = 4096, kKernelSegmentExtent = 512 * 1024;

constexpr i64 kFarDisplacement = 64 * 1024;

/// C++ may execute it, or it changes what groups rely on.
bool leaves(const GuestInsn& insn) {
  switch (insn.kind) {
    case Kind::Helper:
    case Kind::HelperEnd:
    case Kind::SwapGs:
    case Kind::ReadTsc:
    case Kind::Strings:
    case Kind::Cross:
      return true;
    default:
      return false;
  }
}

/// The constant that the instruction adds to its whole register, if that is what it does.
bool adds_constant(const GuestInsn& insn, u8& reg, i64& amount) {
  if (insn.kind != Kind::Plain || insn.mem.present || insn.operand_count != 1) return false;
  const RegOperand& operand = insn.regs[0];
  if (operand.size != insn.width || !operand.written) return false;
  reg = operand.reg;
  switch (insn.in.mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
      amount = insn.code32() ? static_cast<i32>(insn.imm) : insn.imm;
      return true;
    case ZYDIS_MNEMONIC_SUB:
      amount = insn.code32() ? -i64{static_cast<i32>(insn.imm)} : -insn.imm;
      return true;
    case ZYDIS_MNEMONIC_INC:
      amount = 1;
      return true;
    case ZYDIS_MNEMONIC_DEC:
      amount = -1;
      return true;
    default:
      return false;
  }
}

bool is_plain_move(const GuestInsn& insn) {
  return insn.kind == Kind::Plain && insn.in.mnemonic == ZYDIS_MNEMONIC_MOV && insn.operand_count == 2 &&
         !insn.mem.present && insn.regs[0].size == insn.width && insn.regs[1].size == insn.width;
}

}  // namespace

bool stack_access(const GuestInsn& insn, MemOperand& mem) {
  mem = {.present = true,
         .agen = false,
         .read = false,
         .written = false,
         .base = RSP,
         .index = -1,
         .scale = 0,
         .segment = SS,
         .narrow = false,
         .size = insn.width,
         .disp = 0};
  switch (insn.kind) {
    case Kind::Push:
    case Kind::PushFlags:
    case Kind::Call:
    case Kind::CallTo:
      mem.written = true;
      mem.disp = -i64{insn.width};
      return true;
    case Kind::Pop:
    case Kind::Return:
      mem.read = true;
      return true;
    case Kind::Leave:
      mem.base = RBP;
      mem.read = true;
      return true;
    default:
      return false;
  }
}

void Plan::find_live() {
  constexpr u16 all = static_cast<u16>(rflags::kStatus);
  u16 now = all;
  live[count] = now;
  for (unsigned i = count; i-- > 0;) {
    const GuestInsn& insn = insns[i];
    if (insn.kind == Kind::Branch) now = all;  // at its target
    now = static_cast<u16>((now & ~insn.flags_killed) | insn.flags_read);
    live[i] = now;
  }
}

void Plan::step_versions(unsigned at) {
  const GuestInsn& insn = insns[at];
  Value* const now = values_[at];
  Value* const next = values_[at + 1];
  std::copy_n(now, 16, next);
  const auto renew = [&](unsigned reg) { next[reg] = {.version = next_version_++, .offset = 0}; };
  last_helper_[at + 1] = leaves(insn) ? static_cast<u16>(at + 1) : last_helper_[at];
  u8 reg;
  i64 amount;
  if (adds_constant(insn, reg, amount)) {
    next[reg].offset += amount;
    return;
  }
  if (is_plain_move(insn)) {
    const bool first_written = insn.regs[0].written;
    next[insn.regs[first_written ? 0 : 1].reg] = now[insn.regs[first_written ? 1 : 0].reg];
    return;
  }
  switch (insn.kind) {
    case Kind::Lea:
      if (insn.mem.base >= 0 && insn.mem.index < 0 && (!insn.mem.narrow || insn.code32()) &&
          insn.regs[0].size == insn.width) {
        const Value base = now[insn.mem.base];
        next[insn.regs[0].reg] = {.version = base.version, .offset = base.offset + insn.mem.disp};
        return;
      }
      break;
    case Kind::Push:
    case Kind::PushFlags:
      next[RSP].offset -= insn.width;
      return;
    case Kind::Pop:
      if (insn.regs[0].reg != RSP) next[RSP].offset += insn.width;
      renew(insn.regs[0].reg);
      return;
    case Kind::Leave:
      next[RSP] = {.version = now[RBP].version, .offset = now[RBP].offset + insn.width};
      renew(RBP);
      return;
    default:
      break;
  }
  for (unsigned i = 0; i < 16; ++i) {
    if (insn.written_gprs & (1u << i)) renew(i);
  }
}

void Plan::add_access(Access& access, unsigned at, const MemOperand& mem, bool no_groups) {
  const Value* const now = values_[at];
  Group wanted;
  wanted.first = static_cast<u16>(at);
  wanted.count = 1;
  wanted.write = mem.written;
  wanted.base = mem.base;
  wanted.index = mem.index;
  wanted.scale = mem.scale;
  wanted.segment = mem.based_segment() ? mem.segment : u8{0};
  wanted.narrow = mem.narrow;
  i64 extent = kRangeExtent;
  bool shareable = !no_groups;
  i64 offset = mem.disp;
  if (wanted.segment != 0) {
    if (mem.base < 0 && mem.index < 0 && !mem.narrow) {
      wanted.kind = AccessKind::Segment;
      extent = insns[at].rip >> 63 || (insns[at].code32() && insns[at].rip >> 31) ? kKernelSegmentExtent
                                                                                  : kUserSegmentExtent;
    } else {
      shareable = false;
    }
  } else if (mem.base < 0 && mem.index < 0) {
    wanted.kind = AccessKind::Constant;
    // Within a page by its addresses; one that crosses is left to the interpreter, by a check that never succeeds.
  } else if (mem.narrow) {
    shareable = false;
  } else {
    if (mem.base >= 0) {
      wanted.base_version = now[mem.base].version;
      offset += now[mem.base].offset;
    }
    if (mem.index >= 0) {
      wanted.index_version = now[mem.index].version;
      offset += now[mem.index].offset << mem.scale;
    }
  }
  wanted.low = offset;
  wanted.high = offset + mem.size;
  if (shareable) {
    for (unsigned g = 0; g < groups.size(); ++g) {
      Group& group = groups[g];
      if (!group.open || group.kind != wanted.kind || group.segment != wanted.segment || group.narrow ||
          (group.base < 0) != (wanted.base < 0) || (group.index < 0) != (wanted.index < 0) ||
          group.scale != wanted.scale || group.base_version != wanted.base_version ||
          group.index_version != wanted.index_version) {
        continue;
      }
      const i64 low = std::min(group.low, wanted.low), high = std::max(group.high, wanted.high);
      if (group.kind == AccessKind::Constant) {
        if ((low >> kPageShift) != ((high - 1) >> kPageShift)) continue;
      } else if (high - low > extent) {
        continue;
      }
      group.low = low;
      group.high = high;
      group.write = group.write || wanted.write;
      ++group.count;
      access.group = static_cast<u16>(g);
      return;
    }
  }
  wanted.open = shareable;
  access.group = static_cast<u16>(groups.size());
  groups.push_back(wanted);
}

void Plan::find_groups(bool no_groups) {
  groups.clear();
  next_version_ = 0;
  for (unsigned reg = 0; reg < 16; ++reg) values_[0][reg] = {.version = next_version_++, .offset = 0};
  last_helper_[0] = 0;
  for (unsigned i = 0; i < count; ++i) {
    const GuestInsn& insn = insns[i];
    memory[i] = stack[i] = {};
    if (leaves(insn)) {
      for (Group& group : groups) group.open = false;
    }
    if (insn.kind == Kind::Strings) {
      add_access(memory[i], i, insn.mem, true);
      if (insn.source.present) add_access(stack[i], i, insn.source, true);
    } else if (!leaves(insn)) {
      if (insn.mem.present && !insn.mem.agen && insn.kind != Kind::Nothing)
        add_access(memory[i], i, insn.mem, no_groups);
      MemOperand mem;
      if (stack_access(insn, mem)) add_access(stack[i], i, mem, no_groups);
    }
    step_versions(i);
  }
}

void Plan::place_checks() {
  for (Group& group : groups) {
    group.check_at = group.first;
    group.disp = group.low;
    if (group.kind != AccessKind::Range || group.segment != 0 || group.narrow) {
      if (group.kind != AccessKind::Range && !flags_dead(group.first) && !group.in_place) {
        // Its address depends on nothing: any place since the last helper is as good.
        for (unsigned at = group.first; at-- > last_helper_[group.first];) {
          if (!flags_dead(at)) continue;
          group.check_at = static_cast<u16>(at);
          break;
        }
      }
      continue;
    }
    // A register that holds the version at `at`, with its offset; the access's own first.
    const auto holder = [&](unsigned at, u32 version, i8 preferred) -> i8 {
      if (preferred < 0) return -1;
      if (values_[at][preferred].version == version) return preferred;
      for (i8 reg = 0; reg < 16; ++reg) {
        if (values_[at][reg].version == version) return reg;
      }
      return -1;
    };
    const auto try_at = [&](unsigned at) {
      const i8 base = holder(at, group.base_version, group.base);
      const i8 index = holder(at, group.index_version, group.index);
      if ((group.base >= 0) != (base >= 0) || (group.index >= 0) != (index >= 0)) return false;
      i64 disp = group.low;
      if (base >= 0) disp -= values_[at][base].offset;
      if (index >= 0) disp -= values_[at][index].offset << group.scale;
      // Far from the register that is there the sum would wrap at 4 GiB, and the check would fail.
      if (insns[at].code32() && at != group.first && (disp < -kFarDisplacement || disp > kFarDisplacement))
        return false;
      group.check_at = static_cast<u16>(at);
      group.base = base;
      group.index = index;
      group.disp = disp;
      return true;
    };
    bool placed = group.in_place && try_at(group.first);
    for (unsigned at = group.first + 1; at-- > last_helper_[group.first] && !placed;) {
      if (flags_dead(at)) placed = try_at(at);
    }
    if (!placed) try_at(group.first);
  }
}

}  // namespace vireo::cpu::translate
