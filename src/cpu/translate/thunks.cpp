#include "cpu/translate/thunks.h"

#include "cpu/translate/thunk_parts.h"
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
      make_cross(e, layout, static_cast<Crossing>(crossing), mode, helper);
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
      make_refill(e, layout, view, write, false, nullptr);
      refill.group = e.at();
      make_refill(e, layout, view, write, true, nullptr);
      refill.crossing = e.at();
      make_refill(e, layout, view, write, false, write ? part_write : bounce);
    }
  }
  thunks.write_parts = e.at();
  make_write_parts(e, layout);
  thunks.part = e.at();
  make_part(e, layout);
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
