#include "cpu/translate/thunk_parts.h"
#include "vm/x86/regs.h"

namespace vireo::cpu::translate {

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

}  // namespace vireo::cpu::translate
