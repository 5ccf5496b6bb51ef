#include "cpu/translate/thunk_parts.h"

namespace vireo::cpu::translate {

namespace {

/// On from Context::resume, so many bytes behind the call.
void resume(Emitter& e, const Layout& layout, u32 behind) {
  if (behind != 0) {
    e.load(T1, layout.at(&Context::resume));
    e.lea(T1, {.base = T1, .disp = static_cast<i32>(behind)});
    e.store(layout.at(&Context::resume), T1);
  }
  e.jmp(layout.at(&Context::resume));
}

void rep_movsb(Emitter& e) { e.bytes(reinterpret_cast<const u8*>("\xF3\xA4"), 2); }

/// Thunks::refill and Thunks::part.
class RefillThunk {
 public:
  RefillThunk(Emitter& e, const Layout& layout) : e_(e), layout_(layout) {}

  void make(unsigned view, bool write, bool group, const u8* crossing) {
    const Host entry = Host::RDX;
    const auto tag = layout_.page(view, write ? &PageEntry::write_page : &PageEntry::read_page, entry);
    const auto delta = layout_.page(view, &PageEntry::delta, entry);
    begin();
    e_.mov(entry, T1);
    e_.shr(entry, kPageShift - kPageEntryShift);
    e_.and_imm32(entry, (kPageEntries - 1) << kPageEntryShift);
    e_.xor_(T1, tag);
    e_.cmp_imm(T1, kPageSize - 1);
    u8* const another = e_.jcc_later(Cond::A);
    e_.load16(Host::RAX, slot(&Slot::refills));
    e_.test(Host::RAX, Host::RAX);
    u8* const enough = e_.jcc_later(Cond::E);
    e_.lea(Host::RAX, {.base = Host::RAX, .disp = -1});
    e_.store16(slot(&Slot::refills), Host::RAX);
    u8* const crosses = within_page();
    e_.load(T1, delta);
    e_.test(T1, T1);  // an empty entry is one for an address that is not canonical
    u8* const empty = e_.jcc_later(Cond::E);
    e_.load(Host::RAX, layout_.page(view, &PageEntry::refilled, entry));
    e_.load(T1, layout_.refilled_count(Host::RAX));
    e_.cmp_imm(T1, Refilled::kMost);
    u8* const full = e_.jcc_later(Cond::AE);
    e_.store32(layout_.refilled_slot(Host::RAX, T1), T2);
    e_.lea(T1, {.base = T1, .disp = 1});
    e_.store(layout_.refilled_count(Host::RAX), T1);
    e_.load(T1, delta);
    e_.store(slot(&Slot::delta), T1);
    e_.load(T1, tag);
    e_.load_i32(Host::RAX, slot(&Slot::low));
    e_.sub(T1, Host::RAX);
    e_.store(slot(&Slot::base), T1);
    e_.load16(Host::RAX, slot(&Slot::extent));
    e_.mov_imm(T1, kPageSize);
    e_.sub(T1, Host::RAX);
    e_.store(slot(&Slot::limit), T1);
    end(kBehindAccess);
    if (group) {
      e_.here32(crosses);
      end(kBehindAccess + kBehindJump);
    }
    if (crossing != nullptr) {
      e_.here32(crosses);
      e_.xor_(T1, tag);
      restore();
      e_.jmp(crossing);
    }
    for (u8* const from : {another, enough, empty, full, group || crossing != nullptr ? nullptr : crosses}) {
      if (from != nullptr) e_.here32(from);
    }
    end(0);
  }

  void make_part() {
    begin();
    e_.and_imm32(T1, kPageMask);
    u8* const crosses = within_page();
    end(0);
    e_.here32(crosses);
    end(kBehindAccess + kBehindJump);
  }

 private:
  template <class T>
  Mem slot(T Slot::* member) const {
    return layout_.slot(T2, member);
  }

  void begin() {
    e_.pop(layout_.at(&Context::resume));  // as in make_bounce
    e_.store(layout_.saved(0), Host::RAX);
    e_.store(layout_.saved(1), Host::RDX);
    e_.flags_to_ax();
    e_.store(layout_.saved(4), Host::RAX);
  }

  /// T1 is the place in the page. The branch is for what does not end in it.
  u8* within_page() {
    e_.load16(Host::RAX, slot(&Slot::extent));
    e_.lea(Host::RAX, {.base = Host::RAX, .index = T1});
    e_.cmp_imm(Host::RAX, kPageSize);
    return e_.jcc_later(Cond::A);
  }

  void restore() {
    e_.load(Host::RAX, layout_.saved(4));
    e_.ax_to_flags();
    e_.load(Host::RAX, layout_.saved(0));
    e_.load(Host::RDX, layout_.saved(1));
  }

  void end(u32 behind) {
    restore();
    resume(e_, layout_, behind);
  }

  Emitter& e_;
  const Layout& layout_;
};

}  // namespace

const u8* make_bounce(Emitter& e, const Layout& layout, unsigned view, bool write) {
  const Host kept[] = {Host::RAX, Host::RDX, Host::RSI, Host::RDI};
  const Host address = Host::RSI, page = Host::RDX, from_first = Host::RAX, from_second = Host::RDI;
  // The stack may be about to overflow, and begin anew with any push: nothing is left on it.
  e.pop(layout.at(&Context::resume));
  const u8* const popped = e.at();
  for (unsigned i = 0; i < 4; ++i) e.store(layout.saved(i), kept[i]);
  e.flags_to(Host::RAX);
  e.store(layout.saved(4), Host::RAX);
  const auto find = [&](Host index, Host of) {  // to its entry; the delta comes into `index`
    e.mov(index, of);
    e.shr(index, kPageShift - kPageEntryShift);
    e.and_imm32(index, (kPageEntries - 1) << kPageEntryShift);
    e.cmp(page, layout.page(view, write ? &PageEntry::write_page : &PageEntry::read_page, index));
    u8* const missing = e.jcc_later(Cond::NE);
    e.load(index, layout.page(view, &PageEntry::delta, index));
    return missing;
  };
  e.mov(address, T1);
  e.mov(page, address);
  e.shr(page, kPageShift);
  e.shl(page, kPageShift);
  // What an empty entry has is not canonical: blocks fault there, but here nobody would know what to do.
  e.mov(Host::RAX, page);
  e.shl(Host::RAX, 1);
  u8* const not_canonical = e.jcc_later(Cond::E);
  u8* const no_first = find(from_first, page);
  e.lea(from_first, {.base = from_first, .index = address});
  e.lea(page, {.base = page, .disp = static_cast<i32>(kPageSize)});
  u8* const no_second = find(from_second, page);
  e.lea(from_second, {.base = from_second, .index = page});
  const Host first = page;  // bytes
  e.sub(first, address);
  e.load16(T1, layout.slot(T2, &Slot::extent));
  e.sub(T1, first);
  u8* const within = e.jcc_later(Cond::BE);
  e.store(layout.part(0, &Context::Part::host), from_first);
  e.store(layout.part(0, &Context::Part::bytes), first);
  e.store(layout.part(1, &Context::Part::host), from_second);
  e.store(layout.part(1, &Context::Part::bytes), T1);
  e.bytes(reinterpret_cast<const u8*>("\xF3\x48\x0F\xAE\xCF"), 5);  // rdgsbase rdi
  e.lea(Host::RDI, {.base = Host::RDI, .disp = layout.bounce()});
  e.mov(T1, address);
  e.and_imm32(T1, kBounced - 1);
  e.lea(Host::RDI, {.base = Host::RDI, .index = T1});
  e.store(layout.at(&Context::parts_from), Host::RDI);
  e.mov(T1, Host::RDI);
  e.sub(T1, address);
  e.store(layout.slot(T2, &Slot::delta), T1);
  e.mov_imm(T1, kNoBase);  // good for this access only
  e.store(layout.slot(T2, &Slot::base), T1);
  e.mov_imm(T1, 0);
  e.store(layout.slot(T2, &Slot::limit), T1);
  for (unsigned part = 0; part < 2 && !write; ++part) {
    e.load(Host::RSI, layout.part(part, &Context::Part::host));
    e.load(T1, layout.part(part, &Context::Part::bytes));
    rep_movsb(e);
  }
  const auto restore = [&] {
    e.push(layout.saved(4));
    e.byte(0x9D);  // popfq
    for (unsigned i = 0; i < 4; ++i) e.load(kept[i], layout.saved(i));
  };
  restore();
  resume(e, layout, kBehindAccess + kBehindJump);
  for (u8* const from : {not_canonical, no_first, no_second, within}) e.here32(from);
  restore();
  resume(e, layout, 0);
  return popped;
}

void make_write_parts(Emitter& e, const Layout& layout) {
  e.pop(layout.at(&Context::resume));
  e.store(layout.saved(0), Host::RSI);
  e.store(layout.saved(1), Host::RDI);
  e.load(Host::RSI, layout.at(&Context::parts_from));
  for (unsigned part = 0; part < 2; ++part) {
    e.load(Host::RDI, layout.part(part, &Context::Part::host));
    e.load(T1, layout.part(part, &Context::Part::bytes));
    rep_movsb(e);
  }
  e.load(Host::RSI, layout.saved(0));
  e.load(Host::RDI, layout.saved(1));
  e.jmp(layout.at(&Context::resume));
}

void make_refill(Emitter& e, const Layout& layout, unsigned view, bool write, bool group, const u8* crossing) {
  RefillThunk(e, layout).make(view, write, group, crossing);
}

void make_part(Emitter& e, const Layout& layout) { RefillThunk(e, layout).make_part(); }

}  // namespace vireo::cpu::translate
