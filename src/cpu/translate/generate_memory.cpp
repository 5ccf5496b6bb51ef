// Checks of guest addresses, and what accesses look like after them. All host code that reaches guest RAM gets its
// address here.
#include "cpu/translate/generate.h"

namespace vireo::cpu::translate {

using namespace vm::x86;

/// RAX and the flags wait in R11, or in memory when R11 is wanted; then T1 alone may be used, and RAX must not be read.
void Generator::save_flags(bool in_memory) {
  if (in_memory) {
    e_.store(layout_.at(&Context::spill), Host::RAX);
  } else {
    e_.mov(T2, Host::RAX);
  }
  e_.flags_to_ax();
}

void Generator::restore_flags(bool from_memory) {
  e_.ax_to_flags();
  if (from_memory) {
    e_.load(Host::RAX, layout_.at(&Context::spill));
  } else {
    e_.mov(Host::RAX, T2);
  }
}

/// The address checked, or with `with_disp` false what it is without Group::disp, to T1; T2 may be used, flags not.
void Generator::address_to_t1(const Group& group, bool with_disp) {
  const bool disp = with_disp || group.narrow;
  Mem mem{.disp = disp ? static_cast<i32>(group.disp) : 0};
  if (group.base >= 0) {
    mem.base = home(static_cast<unsigned>(group.base));
    if (mem.base == Host::None) {
      e_.load(T1, layout_.gpr(static_cast<unsigned>(group.base)));
      mem.base = T1;
    }
  }
  if (group.index >= 0) {
    mem.index = home(static_cast<unsigned>(group.index));
    mem.scale = group.scale;
    if (mem.index == Host::None) {
      e_.load(T2, layout_.gpr(static_cast<unsigned>(group.index)));
      mem.index = T2;
    }
  }
  if (group.narrow || (with_disp && mode_.code32())) {
    if (mem.base == Host::None && mem.index == Host::None) {
      e_.mov_imm(T1, static_cast<u32>(mem.disp));
    } else {
      e_.lea32(T1, mem);
    }
  } else if (mem.index == Host::None && mem.disp == 0 && mem.base != Host::None) {
    e_.mov(T1, mem.base);
  } else {
    e_.lea(T1, mem);
  }
  if (group.segment != 0) {
    e_.load(T2, layout_.base_of(group.segment, mode_.code32()));
    e_.lea(T1, {.base = T1, .index = T2});
  }
}

namespace {

/// It writes all of its memory operand, and does nothing else.
bool is_plain_store(const GuestInsn& insn) {
  if (insn.kind != Kind::Plain || !insn.mem.written || insn.mem.read) return false;
  if (insn.in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && insn.in.avx.mask.mode != ZYDIS_MASK_MODE_DISABLED)
    return false;
  switch (insn.in.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_VMOVDQU:
    case ZYDIS_MNEMONIC_VMOVDQU8:
    case ZYDIS_MNEMONIC_VMOVDQU16:
    case ZYDIS_MNEMONIC_VMOVDQU32:
    case ZYDIS_MNEMONIC_VMOVDQU64:
    case ZYDIS_MNEMONIC_VMOVUPD:
    case ZYDIS_MNEMONIC_VMOVUPS:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Generator::emit_range_check(const Group& group, Site& site, bool live, Cold& cold) {
  const u32 slot = site.slot;
  const bool pages = group.page_entries && !(mode_.code32() && group.segment != 0) &&
                     group.disp == static_cast<i32>(group.disp) && site.extent <= kPageSize;
  site.page_entries = pages;
  site.low = pages || group.narrow ? 0 : group.disp;
  address_to_t1(group, pages);
  if (live) save_flags(pages);
  if (pages) {
    const auto tag = group.write ? &PageEntry::write_page : &PageEntry::read_page;
    e_.mov(T2, T1);
    e_.shr(T2, kPageShift - kPageEntryShift);
    e_.and_imm32(T2, (kPageEntries - 1) << kPageEntryShift);
    e_.xor_(T1, layout_.page(view_, tag, T2));
    e_.cmp_imm(T1, static_cast<i32>(kPageSize - site.extent));
    cold.from[0] = e_.jcc_later(Cond::A);
    e_.load(T2, layout_.page(view_, &PageEntry::delta, T2));
    e_.store(layout_.slot(slot, &Slot::delta), T2);
  } else {
    e_.sub(T1, layout_.slot(slot, &Slot::base));
    e_.cmp(T1, layout_.slot(slot, &Slot::limit));
    cold.from[0] = e_.jcc_later(Cond::A);
  }
  if (live) restore_flags(pages);
  cold.restore_flags = live;
  cold.restore_from_memory = pages;
  const bool may_cross = !site.string && !group.narrow && !mode_.code32() && site.extent <= kPageSize &&
                         site.low == static_cast<i32>(site.low);
  site.refilled = may_cross && !pages;
  site.bounced = may_cross && site.alone && !group.write && group.segment == 0 && site.extent <= kBounced;
  site.parted = may_cross && site.alone && group.segment == 0 && site.extent <= kBounced && crossing_ &&
                is_plain_store(plan_->insns[at_]);
  cold.group = &group;
  if (pages) {
    if (site.bounced) cold.first = thunks_.bounce[view_];
    if (site.parted) cold.first = thunks_.part_write[view_];
    if (may_cross && !site.alone) cold.first = thunks_.part;
  } else if (site.refilled) {
    const auto& refill = thunks_.refill[view_][group.write];
    cold.first = site.bounced || site.parted ? refill.crossing : site.alone ? refill.alone : refill.group;
  }
}

void Generator::emit_check(u16 number) {
  const Group& group = plan_->groups[number];
  const auto index = static_cast<u32>(tables_.sites.size());
  const bool live = !plan_->flags_dead(at_);
  Site site;
  site.kind = Site::Kind::Access;
  site.access = group.kind;
  site.base = group.base;
  site.index = group.index;
  site.scale = group.scale;
  site.segment = group.segment;
  site.narrow = group.narrow;
  site.write = group.write;
  site.alone = group.alone();
  site.string = plan_->insns[at_].kind == Kind::Strings;
  site.boundary = static_cast<u16>(at_);
  site.first = group.first;
  site.slot = tables_.slots++;
  site.extent = static_cast<u32>(group.high - group.low);
  site.disp = group.disp;
  site.block = block_;
  Slot& slot = context_.slots[site.slot];
  slot = {.base = kNoBase, .limit = 0, .delta = 0, .low = 0, .extent = 0, .refills = 0};
  group_slots_[number] = site.slot;
  Cold cold{.kind = Cold::Kind::Site, .index = index, .back = e_.at(), .call = Call::Access};
  switch (group.kind) {
    case AccessKind::Range:
      emit_range_check(group, site, live, cold);
      break;
    case AccessKind::Segment:
      e_.load(T1, layout_.base_of(group.segment, mode_.code32()));
      if (live) save_flags(false);
      e_.cmp(T1, layout_.slot(site.slot, &Slot::base));
      cold.from[0] = e_.jcc_later(Cond::NE);
      if (live) restore_flags(false);
      cold.restore_flags = live;
      break;
    case AccessKind::Constant:
      e_.load(T1, layout_.slot(site.slot, &Slot::delta));
      if (live) {
        u8* const empty = e_.jrcxz_later();
        e_.byte(0xEB);  // jmp over the next
        e_.byte(5);
        e_.here8(empty);
        cold.from[0] = e_.jmp_later();
      } else {
        e_.test(T1, T1);
        cold.from[0] = e_.jcc_later(Cond::E);
      }
      break;
  }
  site.passed = e_.at();
  slot.low = static_cast<i32>(site.low);
  slot.extent = static_cast<u16>(site.extent);
  tables_.sites.push_back(site);
  cold_.push_back(cold);
}

/// The memory operand in host memory, after its check. Uses T1, leaves T2 free, touches no flags.
Mem Generator::access(const Access& access, const MemOperand& mem) {
  const Group& group = plan_->groups[access.group];
  const u32 slot = group_slots_[access.group];
  const auto delta = layout_.slot(slot, &Slot::delta);
  const auto disp = static_cast<i32>(mem.disp);
  switch (group.kind) {
    case AccessKind::Segment:
      e_.load(T1, delta);
      return {.base = T1, .disp = disp};
    case AccessKind::Constant:
      e_.load(T1, delta);
      return {.base = T1, .disp = static_cast<i32>(static_cast<u64>(mem.disp) & kPageMask)};
    case AccessKind::Range:
      break;
  }
  if (mem.narrow) {
    Group now = group;  // alone, so its registers are the access's
    now.segment = 0;
    address_to_t1(now, true);
    if (group.segment != 0) {
      e_.load(T2, layout_.base_of(group.segment, mode_.code32()));
      e_.lea(T1, {.base = T1, .index = T2});
    }
    e_.load(T2, delta);
    e_.lea(T1, {.base = T1, .index = T2});
    return {.base = T1};
  }
  e_.load(T1, delta);
  if (group.segment != 0) {
    e_.load(T2, layout_.base_of(group.segment, mode_.code32()));
    e_.lea(T1, {.base = T1, .index = T2});
  }
  const Host base = mem.base >= 0 ? home(static_cast<unsigned>(mem.base)) : Host::None;
  if (mem.index < 0 && base != Host::None) return {.base = base, .index = T1, .disp = disp};
  if (mem.base >= 0 && base == Host::None) {
    e_.load(T2, layout_.gpr(static_cast<unsigned>(mem.base)));
    e_.lea(T1, {.base = T1, .index = T2});
  } else if (base != Host::None) {
    e_.lea(T1, {.base = T1, .index = base});
  }
  if (mem.index < 0) return {.base = T1, .disp = disp};
  const Host index = home(static_cast<unsigned>(mem.index));
  if (index != Host::None) return {.base = T1, .index = index, .scale = mem.scale, .disp = disp};
  e_.load(T2, layout_.gpr(static_cast<unsigned>(mem.index)));
  e_.lea(T1, {.base = T1, .index = T2, .scale = mem.scale});
  return {.base = T1, .disp = disp};
}

}  // namespace vireo::cpu::translate
