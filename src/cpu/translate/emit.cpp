#include "cpu/translate/emit.h"

namespace vireo::cpu::translate {

void Emitter::modrm(unsigned reg, const Mem& mem, bool wide_disp) {
  constexpr unsigned kSib = 4, kNoIndex = 4, kNoBase = 5;
  const unsigned field = (reg & 7) << 3;
  if (mem.base == Host::None) {  // absolute, in SIB form: without it the operand would be relative to RIP
    byte(field | kSib);
    byte(mem.scale << 6 | (mem.index == Host::None ? kNoIndex : num(mem.index) & 7) << 3 | kNoBase);
    word32(static_cast<u32>(mem.disp));
    return;
  }
  const unsigned base = num(mem.base) & 7;
  const bool sib = mem.index != Host::None || base == kSib;
  // RBP and R13 as base need a displacement.
  unsigned mode = mem.disp == 0 && base != kNoBase ? 0 : !wide_disp && mem.disp >= -128 && mem.disp < 128 ? 1 : 2;
  byte(mode << 6 | field | (sib ? kSib : base));
  if (sib) byte(mem.scale << 6 | (mem.index == Host::None ? kNoIndex : num(mem.index) & 7) << 3 | base);
  if (mode == 1) byte(static_cast<u8>(mem.disp));
  if (mode == 2) word32(static_cast<u32>(mem.disp));
}

void Emitter::mov_imm(Host to, u64 value) {
  if (value <= 0xFFFFFFFF) {
    rex(false, 0, 0, num(to));
    byte(0xB8 | (num(to) & 7));
    word32(static_cast<u32>(value));
  } else if (static_cast<u64>(static_cast<i64>(static_cast<i32>(value))) == value) {
    rex(true, 0, 0, num(to));
    byte(0xC7);
    modrm(0, to);
    word32(static_cast<u32>(value));
  } else {
    rex(true, 0, 0, num(to));
    byte(0xB8 | (num(to) & 7));
    word64(value);
  }
}

}  // namespace vireo::cpu::translate
