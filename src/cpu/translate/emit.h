// Host instructions as bytes: only the handful of forms the translator makes itself. Guest instructions are copied with
// new registers by rewrite.h. SDM 2A chapter 2 (encoding), 2A to 2C (opcodes).
//
// Code is written through one view of the code memory and runs at another address (host/codemem.h): `at()` is where the
// next byte will run. Nothing is written past the end; overflowed() says that it would have been.
#pragma once

#include "base/bits.h"
#include "base/bytes.h"

namespace vireo::cpu::translate {

/// Host registers, encoding order.
enum class Host : u8 { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, None = 0xFF };

constexpr unsigned num(Host reg) { return static_cast<unsigned>(reg); }

/// Condition codes of Jcc.
enum class Cond : u8 { O, NO, B, AE, E, NE, BE, A, S, NS, P, NP, L, GE, LE, G };

/// A memory operand in host registers: [base + index << scale + disp], or gs:[disp].
struct Mem {
  Host base = Host::None, index = Host::None;
  u8 scale = 0;
  bool gs = false;
  i32 disp = 0;
};

/// gs:[offset]: a field of the vCPU's context.
constexpr Mem field(i32 offset) { return {.gs = true, .disp = offset}; }

class Emitter {
 public:
  Emitter(u8* begin, u8* end, const u8* runs_at) : begin_(begin), at_(begin), end_(end), runs_at_(runs_at) {}

  const u8* at() const { return runs_at_ + (at_ - begin_); }
  u8* written_at() const { return at_; }
  bool overflowed() const { return overflowed_; }

  void byte(unsigned value) { put(static_cast<u8>(value)); }
  void word32(u32 value) { put(value); }
  void word64(u64 value) { put(value); }
  void bytes(const u8* from, unsigned count) {
    for (unsigned i = 0; i < count; ++i) byte(from[i]);
  }

  // --- Operands
  /// ModRM, SIB and displacement. `reg` is the 3-bit field. With `wide_disp` the displacement has 32 bits if it has
  /// any.
  void modrm(unsigned reg, const Mem& mem, bool wide_disp = false);
  void modrm(unsigned reg, Host rm) { byte(0xC0 | (reg & 7) << 3 | (num(rm) & 7)); }
  static unsigned rex_xb(const Mem& mem) {
    return (mem.index != Host::None ? (num(mem.index) >> 3) << 1 : 0) |
           (mem.base != Host::None ? num(mem.base) >> 3 : 0);
  }

  // --- Instructions: 64-bit operands unless the name says 32
  void op(unsigned opcode, Host reg, Host rm, bool wide = true) {
    rex(wide, num(reg), 0, num(rm));
    byte(opcode);
    modrm(num(reg), rm);
  }
  void op(unsigned opcode, Host reg, const Mem& mem, bool wide = true) {
    if (mem.gs) byte(0x65);
    const unsigned bits = (wide ? 8u : 0u) | (num(reg) >> 3) << 2 | rex_xb(mem);
    if (bits != 0) byte(0x40 | bits);
    byte(opcode);
    modrm(num(reg), mem);
  }
  void mov(Host to, Host from) {
    if (to != from) op(0x8B, to, from);
  }
  void mov32(Host to, Host from) { op(0x8B, to, from, false); }
  void load(Host to, const Mem& from) { op(0x8B, to, from); }
  void load32(Host to, const Mem& from) { op(0x8B, to, from, false); }
  void store(const Mem& to, Host from) { op(0x89, from, to); }
  void store32(const Mem& to, Host from) { op(0x89, from, to, false); }
  void lea(Host to, const Mem& from) { op(0x8D, to, from); }
  void lea32(Host to, const Mem& from) { op(0x8D, to, from, false); }
  void sub(Host to, const Mem& from) { op(0x2B, to, from); }
  void sub(Host to, Host from) { op(0x2B, to, from); }
  void add(Host to, const Mem& from) { op(0x03, to, from); }
  void xor_(Host to, const Mem& from) { op(0x33, to, from); }
  void cmp(Host left, const Mem& right) { op(0x3B, left, right); }
  void and_(Host to, const Mem& from) { op(0x23, to, from); }
  void or_(Host to, const Mem& from) { op(0x0B, to, from); }
  void or_(Host to, Host from) { op(0x0B, to, from); }
  void test(Host a, Host b) { op(0x85, a, b); }
  /// Any 64-bit constant, the shortest way, without touching flags.
  void mov_imm(Host to, u64 value);
  void store_imm32(const Mem& to, i32 value) {  // sign extended to 64 bits
    extended_store(0xC7, to, true);
    word32(static_cast<u32>(value));
  }
  void store_dword(const Mem& to, u32 value) {
    extended_store(0xC7, to, false);
    word32(value);
  }
  void store_byte(const Mem& to, u8 value) {
    extended_store(0xC6, to, false);
    byte(value);
  }
  void load_byte(Host to, const Mem& from) {  // zero extended
    if (from.gs) byte(0x65);
    const unsigned bits = (num(to) >> 3) << 2 | rex_xb(from);
    if (bits != 0) byte(0x40 | bits);
    byte(0x0F);
    byte(0xB6);
    modrm(num(to), from);
  }
  void store16(const Mem& to, Host from) {
    byte(0x66);
    op(0x89, from, to, false);
  }
  void load_i32(Host to, const Mem& from) { op(0x63, to, from); }       // sign extended
  void store8(const Mem& to, Host from) { op(0x88, from, to, false); }  ///< low byte; RSP to RDI: not for these
  void movzx8(Host to, Host from) {
    rex(false, num(to), 0, num(from), num(from) >= 4);
    byte(0x0F);
    byte(0xB6);
    modrm(num(to), from);
  }
  void load16(Host to, const Mem& from) {  // zero extended
    if (from.gs) byte(0x65);
    const unsigned bits = (num(to) >> 3) << 2 | rex_xb(from);
    if (bits != 0) byte(0x40 | bits);
    byte(0x0F);
    byte(0xB7);
    modrm(num(to), from);
  }
  void movzx16(Host to, Host from) {
    rex(false, num(to), 0, num(from));
    byte(0x0F);
    byte(0xB7);
    modrm(num(to), from);
  }
  void cmp_byte(const Mem& left, u8 right) {
    if (left.gs) byte(0x65);
    if (rex_xb(left) != 0) byte(0x40 | rex_xb(left));
    byte(0x80);
    modrm(7, left);
    byte(right);
  }
  void cmp_imm(Host left, i32 right) {
    rex(true, 0, 0, num(left));
    byte(0x81);
    modrm(7, left);
    word32(static_cast<u32>(right));
  }
  void shr(Host reg, u8 count) {
    rex(true, 0, 0, num(reg));
    byte(0xC1);
    modrm(5, reg);
    byte(count);
  }
  void shl(Host reg, u8 count) {
    rex(true, 0, 0, num(reg));
    byte(0xC1);
    modrm(4, reg);
    byte(count);
  }
  void and_imm32(Host reg, u32 mask) {  // clears the upper half
    rex(false, 0, 0, num(reg));
    byte(0x81);
    modrm(4, reg);
    word32(mask);
  }
  /// Rotates right without touching flags (BMI2).
  void rorx(Host to, Host from, u8 count) {
    byte(0xC4);
    byte((num(to) < 8 ? 0x80u : 0u) | 0x40 | (num(from) < 8 ? 0x20u : 0u) | 3);
    byte(0xFB);
    byte(0xF0);
    modrm(num(to), from);
    byte(count);
  }
  /// `reg` AND the mask in memory, without touching flags (BMI2: PEXT and PDEP).
  void mask(Host reg, const Mem& bits) {
    for (const unsigned prefix : {2u, 3u}) {  // F3: PEXT, F2: PDEP
      if (bits.gs) byte(0x65);
      byte(0xC4);
      byte((num(reg) < 8 ? 0x80u : 0u) | (rex_xb(bits) & 2 ? 0u : 0x40u) | (rex_xb(bits) & 1 ? 0u : 0x20u) | 2);
      byte(0x80 | (~num(reg) & 15) << 3 | prefix);
      byte(0xF5);
      modrm(num(reg), bits);
    }
  }
  /// To EDX:EAX; with `processor` RDTSCP, and RCX is lost.
  void rdtsc(bool processor) {
    byte(0x0F);
    byte(processor ? 0x01 : 0x31);
    if (processor) byte(0xF9);
  }
  /// The host's RFLAGS, by way of its stack.
  void flags_to(Host reg) {
    byte(0x9C);
    if (num(reg) >= 8) byte(0x41);
    byte(0x58 | (num(reg) & 7));
  }
  /// Status flags to AX, the way flags_ax is laid out: AH as LAHF leaves it, AL = OF.
  void flags_to_ax() {
    bytes4(0x9F, 0x0F, 0x90, 0xC0);  // lahf; seto al
  }
  void ax_to_flags() {
    byte(0x04);  // add al, 0x7f: sets OF from AL
    byte(0x7F);
    byte(0x9E);  // sahf
  }

  // --- Control flow. Branches to what is not there yet return where their 32-bit displacement is.
  void jmp(const u8* target) {
    byte(0xE9);
    word32(relative(target, 4));
  }
  u8* jmp_later() {
    byte(0xE9);
    word32(0);
    return at_ - 4;
  }
  void call(const u8* target) {
    byte(0xE8);
    word32(relative(target, 4));
  }
  u8* call_later() {
    byte(0xE8);
    word32(0);
    return at_ - 4;
  }
  u8* jcc_later(Cond cond) {
    byte(0x0F);
    byte(0x80 | static_cast<unsigned>(cond));
    word32(0);
    return at_ - 4;
  }
  void jmp(const Mem& target) { indirect(4, target); }
  void call(const Mem& target) { indirect(2, target); }
  void push(const Mem& from) { indirect(6, from); }
  void pop(const Mem& to) {
    if (to.gs) byte(0x65);
    if (rex_xb(to) != 0) byte(0x40 | rex_xb(to));
    byte(0x8F);
    modrm(0, to);
  }
  void ret() { byte(0xC3); }
  /// Jumps when RCX is zero, without touching flags; returns where its 8-bit displacement is.
  u8* jrcxz_later() {
    byte(0xE3);
    byte(0);
    return at_ - 1;
  }
  /// The branch whose displacement is at `place` comes here.
  void here32(u8* place) {
    if (!overflowed_) vireo::store<u32>(place, static_cast<u32>(at_ - (place + 4)));
  }
  void here8(u8* place) {
    if (!overflowed_) *place = static_cast<u8>(at_ - (place + 1));
  }
  u32 relative(const u8* target, unsigned after) const { return static_cast<u32>(target - (at() + after)); }

 private:
  void bytes4(unsigned a, unsigned b, unsigned c, unsigned d) {
    byte(a);
    byte(b);
    byte(c);
    byte(d);
  }
  void rex(bool wide, unsigned reg, unsigned index, unsigned base, bool byte_register = false) {
    const unsigned bits = (wide ? 8u : 0u) | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
    if (bits != 0 || byte_register) byte(0x40 | bits);
  }
  void extended_store(unsigned opcode, const Mem& to, bool wide) {
    if (to.gs) byte(0x65);
    const unsigned bits = (wide ? 8u : 0u) | rex_xb(to);
    if (bits != 0) byte(0x40 | bits);
    byte(opcode);
    modrm(0, to);
  }
  void indirect(unsigned extension, const Mem& target) {
    if (target.gs) byte(0x65);
    if (rex_xb(target) != 0) byte(0x40 | rex_xb(target));
    byte(0xFF);
    modrm(extension, target);
  }
  template <class T>
  void put(T value) {
    if (static_cast<u64>(end_ - at_) < sizeof(T)) {
      overflowed_ = true;
      return;
    }
    vireo::store<T>(at_, value);
    at_ += sizeof(T);
  }

  u8* const begin_;
  u8* at_;
  u8* const end_;
  const u8* const runs_at_;
  bool overflowed_ = false;
};

}  // namespace vireo::cpu::translate
