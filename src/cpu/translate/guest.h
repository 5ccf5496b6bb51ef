// A guest instruction as the translator sees it: what Zydis decoded, reduced to what code generation asks for.
#pragma once

#include <Zydis/Zydis.h>

#include "cpu/interp/cpu.h"

namespace vireo::cpu::translate {

using vm::x86::Gpr;

/// How an instruction is generated (generate*.cpp).
enum class Kind : u8 {
  Plain,    ///< the same instruction in host registers, its memory operand checked
  Nothing,  ///< a hint
  Lea,
  Push,
  Pop,
  Leave,
  Jump,    ///< direct
  Branch,  ///< Jcc
  Call,    ///< direct
  JumpTo,  ///< indirect, by register or memory
  CallTo,
  Return,
  Cli,
  Sti,
  PushFlags,
  SwapGs,
  ReadTsc,      ///< RDTSC, RDTSCP; by the interpreter when Context::tsc_by_helper
  ReadSegment,  ///< MOV from a segment register
  Strings,      ///< REP STOS, REP MOVS; by the interpreter where they leave their regions
  Cross,        ///< SYSCALL, SYSRET, STAC, CLAC: Context::landings; by the interpreter when there is none
  Helper,       ///< by the interpreter, goes on behind it when nothing forbids
  HelperEnd,    ///< by the interpreter, ends the block
};

/// 32-bit code adds displacements up to this to registers in 64 bits. That is right as long as the sum does not wrap at
/// 4 GiB, so its checks let nothing pass that is closer than this to either end, and what passed could not have
/// wrapped.
constexpr i64 kWrapMargin = kPageSize;

/// A register operand that is a guest general register.
struct RegOperand {
  enum Place : u8 { Absent, ModrmReg, ModrmRm, Vvvv, Opcode };
  Place place = Absent;
  u8 reg = 0;         ///< Gpr
  u8 size = 0;        ///< bytes
  bool high = false;  ///< AH, CH, DH, BH
  bool read = false, written = false;
};

struct MemOperand {
  bool present = false;
  bool agen = false;  ///< LEA: an address only
  bool read = false, written = false;
  i8 base = -1, index = -1;  ///< Gpr; -1: none
  u8 scale = 0;              ///< log2
  u8 segment = vm::x86::DS;  ///< FS and GS matter
  bool narrow = false;       ///< wraps at 32 bits, whatever the registers hold
  u8 size = 0;               ///< bytes, 1..64
  i64 disp = 0;              ///< with RIP added: then there is no base

  bool based_segment() const { return segment >= vm::x86::FS; }
};

struct GuestInsn {
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  u8 bytes[15];
  u64 rip = 0;
  u8 length = 0;
  u8 width = 8;  ///< bytes of a stack slot, a return address, a pointer: 4 in 32-bit code
  Kind kind = Kind::Helper;
  bool reads_rcx = false;  ///< implicitly: shifts by CL, CMPXCHG16B
  bool vector = false;     ///< needs the guest's vector registers or MXCSR in the host's
  u8 operand_count = 0;
  RegOperand regs[4];
  MemOperand mem;
  MemOperand source;     ///< REP MOVS; `mem` is the target
  u16 written_gprs = 0;  ///< bit set of Gpr, implicit ones included
  u16 flags_read = 0;    ///< status flags
  u16 flags_killed = 0;  ///< status flags that are always overwritten
  u64 target = 0;        ///< Jump, Branch, Call
  i64 imm = 0;           ///< PUSH imm, RET imm, ADD RSP, imm, ...

  bool code32() const { return width == 4; }
  u64 next_rip() const { return code32() ? static_cast<u32>(rip + length) : rip + length; }
};

/// What a block's code may rely on about the mode it runs in; part of what blocks are found by.
struct Mode {
  u8 bits = 0;
  /// OddFlags: IOPL or NT are not zero.
  static constexpr u8 User = 1, SupervisorUserAccess = 2, Sse = 4, Avx = 8, Avx512 = 16, Df = 32, OddFlags = 64;
  /// 32-bit code with flat segments, see translate.h; else 64-bit code.
  static constexpr u8 Code32 = 128;
  bool user() const { return bits & User; }
  bool code32() const { return bits & Code32; }
  bool operator==(const Mode&) const = default;
};

/// MOV between the accumulator and memory by an address that is an immediate.
inline bool is_moffs(const ZydisDecodedInstruction& in) {
  return in.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
         (in.opcode & 0xFC) == 0xA0;
}

/// Decodes and describes the instruction at `bytes` (a private copy). False: it does not lie within the bytes, or is
/// none.
bool describe(interp::Cpu& cpu, Mode mode, u64 rip, const u8* bytes, unsigned available, GuestInsn& insn);

}  // namespace vireo::cpu::translate
