#include "cpu/translate/thunks.h"

#include "vm/x86/regs.h"

namespace vireo::cpu::translate {

namespace {

constexpr Host kSaved[] = {Host::RBX, Host::RBP, Host::R12, Host::R13, Host::R14, Host::R15};  // by the C++ ABI

void push(Emitter& e, Host reg) {
  if (num(reg) >= 8) e.byte(0x41);
  e.byte(0x50 | (num(reg) & 7));
}

void pop(Emitter& e, Host reg) {
  if (num(reg) >= 8) e.byte(0x41);
  e.byte(0x58 | (num(reg) & 7));
}

/// VMOVUPS between vector `reg` and gs:[offset], 32 or 64 bytes.
void move_vector(Emitter& e, unsigned reg, i32 offset, bool store, bool wide) {
  e.byte(0x65);
  if (wide) {
    e.byte(0x62);
    e.byte((~reg >> 3 & 1) << 7 | 0x60 | (~reg >> 4 & 1) << 4 | 1);
    e.byte(0x7C);
    e.byte(0x48);
  } else {
    e.byte(0xC5);
    e.byte((reg < 8 ? 0x80 : 0) | 0x7C);
  }
  e.byte(store ? 0x11 : 0x10);
  e.modrm(reg & 7, field(offset));
}

/// KMOVQ between mask `reg` and gs:[offset].
void move_mask(Emitter& e, unsigned reg, i32 offset, bool store) {
  e.byte(0x65);
  e.byte(0xC4);
  e.byte(0xE1);
  e.byte(0xF8);
  e.byte(store ? 0x91 : 0x90);
  e.modrm(reg, field(offset));
}

/// LDMXCSR (2) or STMXCSR (3).
void mxcsr(Emitter& e, unsigned extension, const Mem& mem) {
  e.byte(0x65);
  e.byte(0x0F);
  e.byte(0xAE);
  e.modrm(extension, mem);
}

void move_vectors(Emitter& e, const Layout& layout, bool store) {
  for (unsigned reg = 0; reg < (layout.avx512 ? 32u : 16u); ++reg)
    move_vector(e, reg, layout.vectors + static_cast<i32>(reg) * 64, store, layout.avx512);
  for (unsigned reg = 0; layout.avx512 && reg < 8; ++reg)
    move_mask(e, reg, layout.opmask + static_cast<i32>(reg) * 8, store);
}

void load_guest(Emitter& e, const Layout& layout) {
  e.load(Host::RAX, layout.at(&Context::flags_ax));
  e.ax_to_flags();
  for (unsigned reg = 0; reg < 16; ++reg) {
    if (home(reg) != Host::None) e.load(home(reg), layout.gpr(reg));
  }
}

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

/// Thunks::bounce, or part_write. Returns its second instruction, for those who have done the first.
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

/// Thunks::write_parts.
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

/// Thunks::refill and Thunks::part.
class RefillThunk {
 public:
  RefillThunk(Emitter& e, const Layout& layout) : e_(e), layout_(layout) {}

  /// `crossing`: where accesses to two pages go; nullptr: back behind the call.
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

/// Thunks::strings. `helper` as in CrossThunk.
void make_strings(Emitter& e, const Layout& layout, bool moves, u8 shift, const u8* helper) {
  constexpr i32 kMostElements = 16 * 1024;  // interrupts wait
  const i32 size = 1 << shift;
  const Host count = home(vm::x86::RCX);
  e.pop(layout.at(&Context::resume));
  e.store(layout.at(&Context::argument), T1);
  e.store(layout.saved(0), Host::RAX);
  e.store(layout.saved(1), Host::RDX);
  e.flags_to(Host::RAX);
  e.store(layout.saved(4), Host::RAX);
  const auto restore = [&] {
    e.push(layout.saved(4));
    e.byte(0x9D);  // popfq
    e.load(Host::RAX, layout.saved(0));
    e.load(Host::RDX, layout.saved(1));
  };
  e.cmp_imm(count, kMostElements);
  u8* const long_one = e.jcc_later(Cond::A);
  e.mov32(Host::RDX, T2);
  e.shr(T2, 32);
  u8* empty[2] = {};
  // The last element too is in the region of the first.
  const auto check = [&](Host at, Host slot) {
    e.load(T1, layout.slot(slot, &Slot::delta));
    e.test(T1, T1);  // an empty one lets an address pass that is not canonical
    empty[moves && slot == T2] = e.jcc_later(Cond::E);
    e.mov(T1, at);
    e.sub(T1, layout.slot(slot, &Slot::base));
    e.lea(T1, {.base = T1, .index = count, .scale = shift, .disp = -size});
    e.cmp(T1, layout.slot(slot, &Slot::limit));
    return e.jcc_later(Cond::A);
  };
  u8* const target_ends = check(Host::RDI, Host::RDX);
  u8* const source_ends = moves ? check(Host::RSI, T2) : nullptr;
  const auto to_host = [&](Host at, Host slot, unsigned saved) {
    e.lea(Host::RAX, {.base = at, .index = count, .scale = shift});
    e.store(layout.saved(saved), Host::RAX);
    e.add(at, layout.slot(slot, &Slot::delta));
  };
  to_host(Host::RDI, Host::RDX, 2);
  if (moves) to_host(Host::RSI, T2, 3);
  e.load(Host::RAX, layout.saved(0));
  e.mov(T1, count);
  if (shift == 1) e.byte(0x66);
  e.byte(0xF3);
  if (shift == 3) e.byte(0x48);
  e.byte((moves ? 0xA4u : 0xAAu) | (shift == 0 ? 0u : 1u));
  e.load(Host::RDI, layout.saved(2));
  if (moves) e.load(Host::RSI, layout.saved(3));
  e.mov_imm(count, 0);
  restore();
  e.jmp(layout.at(&Context::resume));
  for (u8* const from : {long_one, empty[0], empty[1], target_ends, source_ends}) {
    if (from != nullptr) e.here32(from);
  }
  restore();
  e.jmp(helper);
}

/// One way from one mode to another (Thunks::cross). `helper` calls the helper whose index is in Context::argument.
class CrossThunk {
 public:
  CrossThunk(Emitter& e, const Layout& layout, Crossing crossing, unsigned mode)
      : e_(e), layout_(layout), crossing_(crossing), mode_(mode) {}

  void make(const u8* helper) {
    e_.pop(layout_.at(&Context::resume));
    e_.store(layout_.at(&Context::argument), T1);
    switch (crossing_) {
      case Crossing::SystemCall:
        call(helper);
        break;
      case Crossing::SystemReturn:
        come_back(helper);
        break;
      default:
        change_access(helper);
        break;
    }
  }

 private:
  template <class T>
  Mem landing(T Landing::* member, unsigned element = 0) const {
    return layout_.landing(crossing_, mode_, member, element);
  }

  /// T2 is the RIP behind the instruction.
  void call(const u8* helper) {
    e_.flags_to(T1);
    e_.store(layout_.at(&Context::spill), T1);
    e_.load(T1, field(layout_.rflags));
    e_.and_(T1, layout_.at(&Context::not_status_mask));
    e_.cmp(T1, landing(&Landing::flags_before));
    u8* const unlike = e_.jcc_later(Cond::NE);
    e_.cmp_byte(landing(&Landing::valid), 0);
    u8* const unknown = e_.jcc_later(Cond::E);
    e_.mov(home(vm::x86::RCX), T2);
    e_.load(T1, layout_.at(&Context::spill));
    e_.and_(T1, layout_.at(&Context::status_mask));
    e_.or_(T1, landing(&Landing::flags_before));
    e_.store(layout_.gpr(vm::x86::R11), T1);
    load_segments();
    e_.load(T1, landing(&Landing::target));
    enter_mode();
    e_.mov_imm(T2, 1);  // adding 0 to it clears all status flags
    e_.bytes(reinterpret_cast<const u8*>("\x49\x83\xC3\x00"), 4);
    land();
    e_.here32(unlike);
    e_.here32(unknown);
    e_.push(layout_.at(&Context::spill));
    e_.byte(0x9D);  // popfq
    e_.jmp(helper);
  }

  void come_back(const u8* helper) {
    e_.load(T1, layout_.gpr(vm::x86::R11));
    e_.mov(T2, T1);
    e_.and_(T1, layout_.at(&Context::not_status_mask));
    e_.cmp(T1, landing(&Landing::flags_after));
    u8* const unlike = e_.jcc_later(Cond::NE);
    e_.cmp_byte(landing(&Landing::valid), 0);
    u8* const unknown = e_.jcc_later(Cond::E);
    e_.cmp_byte(field(layout_.interrupts_held), 0);
    u8* const held = e_.jcc_later(Cond::NE);
    e_.mov(T1, home(vm::x86::RCX));
    e_.shr(T1, 47);  // in the upper half, or not canonical
    u8* const high = e_.jcc_later(Cond::NE);
    load_segments();
    e_.mov(T1, home(vm::x86::RCX));
    e_.load(T2, layout_.gpr(vm::x86::R11));
    e_.store(layout_.at(&Context::flags_ax), Host::RAX);  // AX as flags_ax is laid out, from RFLAGS in T2
    e_.movzx8(Host::RAX, T2);
    e_.shl(Host::RAX, 8);
    e_.shr(T2, 11);
    e_.and_imm32(T2, 1);
    e_.or_(Host::RAX, T2);
    e_.ax_to_flags();
    e_.load(Host::RAX, layout_.at(&Context::flags_ax));
    enter_mode();
    land();
    for (u8* const from : {unlike, unknown, held, high}) e_.here32(from);
    e_.jmp(helper);
  }

  void change_access(const u8* helper) {
    e_.load_byte(T1, landing(&Landing::valid));
    u8* const unknown = e_.jrcxz_later();
    e_.load(T1, field(layout_.rflags));
    const auto ac = static_cast<i32>(vm::x86::rflags::AC);
    e_.lea(T1, {.base = T1, .disp = crossing_ == Crossing::Stac ? ac : -ac});
    e_.store(field(layout_.rflags), T1);
    e_.mov(T1, T2);
    enter_mode();
    land();
    e_.here8(unknown);
    e_.jmp(helper);
  }

  void load_segments() {
    e_.load(T1, landing(&Landing::flags_after));
    e_.store(field(layout_.rflags), T1);
    for (unsigned i = 0; i < 3; ++i) {
      e_.load(T1, landing(&Landing::code, i));
      e_.store(field(layout_.segments[vm::x86::CS] + static_cast<i32>(i) * 8), T1);
      e_.load(T1, landing(&Landing::stack_segment, i));
      e_.store(field(layout_.segments[vm::x86::SS] + static_cast<i32>(i) * 8), T1);
    }
    e_.load32(T1, landing(&Landing::cpl));
    e_.store32(field(layout_.cpl), T1);
  }

  /// T1 is the RIP to go on at, and stays; no flags.
  void enter_mode() {
    e_.store(layout_.at(&Context::target), T1);
    e_.store(layout_.stack_pointer(mode_), Host::RSP);
    e_.load(T2, landing(&Landing::stack));
    e_.load(Host::RSP, {.base = T2});
    e_.load32(T2, landing(&Landing::mode));
    e_.store32(layout_.at(&Context::mode), T2);
    e_.load_byte(T2, landing(&Landing::view));
    e_.store8(field(layout_.cpu_view), T2);
  }

  void land() {
    e_.movzx16(T2, T1);
    e_.load(T1, landing(&Landing::jumps));
    e_.lea(T2, {.base = T1, .index = T2, .scale = 3});
    e_.load(T1, layout_.at(&Context::target));
    e_.jmp({.base = T2});
  }

  Emitter& e_;
  const Layout& layout_;
  const Crossing crossing_;
  const unsigned mode_;
};

}  // namespace

Thunks make_thunks(Emitter& e, const Layout& layout) {
  Thunks thunks;

  thunks.load_vectors = e.at();
  move_vectors(e, layout, false);
  mxcsr(e, 2, field(layout.mxcsr));
  e.store_byte(layout.at(&Context::vectors_loaded), 1);
  e.ret();

  thunks.store_vectors = e.at();
  move_vectors(e, layout, true);
  mxcsr(e, 3, field(layout.mxcsr));
  mxcsr(e, 2, layout.at(&Context::host_mxcsr));
  e.store_byte(layout.at(&Context::vectors_loaded), 0);
  e.bytes(reinterpret_cast<const u8*>("\xC5\xF8\x77"), 3);  // vzeroupper
  e.ret();

  thunks.enter = e.at();
  for (const Host reg : kSaved) push(e, reg);
  push(e, Host::RAX);                                               // aligns the stack
  e.bytes(reinterpret_cast<const u8*>("\xF3\x48\x0F\xAE\xDF"), 5);  // wrgsbase rdi
  e.store(layout.at(&Context::host_sp), Host::RSP);
  e.store(layout.at(&Context::resume), Host::RSI);
  const u8* const go_on = e.at();
  e.cmp_byte(layout.at(&Context::reload_vectors), 0);
  u8* const reload = e.jcc_later(Cond::NE);
  const u8* const reloaded = e.at();
  e.load(Host::RSP, layout.at(&Context::code_sp));
  e.load(T1, layout.at(&Context::target));  // for indirect entries
  load_guest(e, layout);
  e.jmp(layout.at(&Context::resume));
  e.here32(reload);
  e.store_byte(layout.at(&Context::reload_vectors), 0);
  e.call(thunks.load_vectors);
  e.jmp(reloaded);

  // The common part of all calls: the index is in Context::argument, the return address in Context::resume.
  const u8* const common = e.at();
  for (unsigned reg = 0; reg < 16; ++reg) {
    if (home(reg) != Host::None) e.store(layout.gpr(reg), home(reg));
  }
  e.flags_to_ax();
  e.store(layout.at(&Context::flags_ax), Host::RAX);
  e.store(layout.at(&Context::code_sp), Host::RSP);
  e.load(Host::RSP, layout.at(&Context::host_sp));
  e.cmp_byte(layout.at(&Context::vectors_loaded), 0);
  u8* const no_vectors = e.jcc_later(Cond::E);
  e.call(thunks.store_vectors);
  e.store_byte(layout.at(&Context::reload_vectors), 1);
  e.here32(no_vectors);
  e.load(Host::RDI, layout.at(&Context::self));
  e.load(Host::RSI, layout.at(&Context::argument));
  e.bytes(reinterpret_cast<const u8*>("\x41\xFF\xD3"), 3);  // call r11
  e.test(Host::RAX, Host::RAX);
  u8* const behind = e.jcc_later(Cond::E);
  e.cmp_imm(Host::RAX, kLeave);
  u8* const leave = e.jcc_later(Cond::E);
  e.store(layout.at(&Context::resume), Host::RAX);
  e.here32(behind);
  e.jmp(go_on);
  e.here32(leave);
  e.store_byte(layout.at(&Context::reload_vectors), 0);
  pop(e, Host::RAX);
  for (unsigned i = std::size(kSaved); i-- > 0;) pop(e, kSaved[i]);
  e.ret();

  for (unsigned i = 0; i < static_cast<unsigned>(Call::kCount); ++i) {
    thunks.call[i] = e.at();
    e.pop(layout.at(&Context::resume));
    e.store(layout.at(&Context::argument), T1);
    e.load(T2, layout.function(static_cast<Call>(i)));
    e.jmp(common);
  }
  const u8* const helper = e.at();
  e.load(T2, layout.function(Call::Helper));
  e.jmp(common);
  for (unsigned crossing = 0; crossing < static_cast<unsigned>(Crossing::kCount); ++crossing) {
    for (unsigned mode = 0; mode < kModes; ++mode) {
      thunks.cross[crossing][mode] = e.at();
      CrossThunk(e, layout, static_cast<Crossing>(crossing), mode).make(helper);
    }
  }
  for (const bool moves : {false, true}) {
    for (u8 shift = 0; shift < 4; ++shift) {
      thunks.strings[moves][shift] = e.at();
      make_strings(e, layout, moves, shift, helper);
    }
  }
  for (unsigned view = 0; view < std::size(thunks.bounce); ++view) {
    thunks.bounce[view] = e.at();
    const u8* const bounce = make_bounce(e, layout, view, false);
    thunks.part_write[view] = e.at();
    const u8* const part_write = make_bounce(e, layout, view, true);
    for (const bool write : {false, true}) {
      auto& refill = thunks.refill[view][write];
      refill.alone = e.at();
      RefillThunk(e, layout).make(view, write, false, nullptr);
      refill.group = e.at();
      RefillThunk(e, layout).make(view, write, true, nullptr);
      refill.crossing = e.at();
      RefillThunk(e, layout).make(view, write, false, write ? part_write : bounce);
    }
  }
  thunks.write_parts = e.at();
  make_write_parts(e, layout);
  thunks.part = e.at();
  RefillThunk(e, layout).make_part();
  const auto thunk = [&](Call call) { return thunks.call[static_cast<unsigned>(call)]; };
  thunks.link = e.at();
  e.call(thunk(Call::Link));
  thunks.jump_miss = e.at();
  e.call(thunk(Call::Jump));
  for (unsigned mode = 0; mode < kModes; ++mode) {
    thunks.underflow[mode] = e.at();
    e.lea(Host::RSP, {.base = Host::RSP, .disp = -8});
    thunks.return_miss[mode] = e.at();
    e.load(T1, layout.at(&Context::target));
    e.movzx16(T2, T1);
    e.jmp(layout.jump(mode, T2));
  }
  thunks.fault = e.at();
  e.call(thunk(Call::Fault));
  return thunks;
}

}  // namespace vireo::cpu::translate
