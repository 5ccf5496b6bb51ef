// The x86 manuals' register names and bits. Sources: Intel SDM volumes 1 and 3A (chapters 2, 3, 6), AMD APM volume 2.
#pragma once

#include "base/bits.h"

namespace vireo::vm::x86 {

/// General registers in encoding order.
enum Gpr : u8 { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/// Segment registers in encoding order, then the two system segments.
enum Seg : u8 { ES, CS, SS, DS, FS, GS, kSegmentRegisters, LDTR = kSegmentRegisters, TR, kSegments };

namespace rflags {
constexpr u64 CF = bit(0), Fixed1 = bit(1), PF = bit(2), AF = bit(4), ZF = bit(6), SF = bit(7), TF = bit(8),
              IF = bit(9), DF = bit(10), OF = bit(11), IOPL = bit(12) | bit(13), NT = bit(14), RF = bit(16),
              VM = bit(17), AC = bit(18), VIF = bit(19), VIP = bit(20), ID = bit(21);
constexpr u64 kStatus = CF | PF | AF | ZF | SF | OF;
constexpr u64 kDefined = kStatus | TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID;
constexpr unsigned kIoplShift = 12;
}  // namespace rflags

namespace cr0 {
constexpr u64 PE = bit(0), MP = bit(1), EM = bit(2), TS = bit(3), ET = bit(4), NE = bit(5), WP = bit(16), AM = bit(18),
              NW = bit(29), CD = bit(30), PG = bit(31);
}

namespace cr4 {
constexpr u64 VME = bit(0), PVI = bit(1), TSD = bit(2), DE = bit(3), PSE = bit(4), PAE = bit(5), MCE = bit(6),
              PGE = bit(7), PCE = bit(8), OSFXSR = bit(9), OSXMMEXCPT = bit(10), UMIP = bit(11), LA57 = bit(12),
              VMXE = bit(13), FSGSBASE = bit(16), PCIDE = bit(17), OSXSAVE = bit(18), SMEP = bit(20), SMAP = bit(21),
              PKE = bit(22);
}

namespace efer {
constexpr u64 SCE = bit(0), LME = bit(8), LMA = bit(10), NXE = bit(11), SVME = bit(12), LMSLE = bit(13),
              FFXSR = bit(14);
}

namespace xcr0 {
constexpr u64 X87 = bit(0), SSE = bit(1), AVX = bit(2), Opmask = bit(5), ZmmHi256 = bit(6), Hi16Zmm = bit(7);
constexpr u64 kAvx512 = Opmask | ZmmHi256 | Hi16Zmm;
/// The rules of XSETBV (SDM 1 13.3): x87 is always there, AVX stands on SSE, and AVX-512, in one piece, on AVX.
constexpr bool is_consistent(u64 value) {
  if (!(value & X87) || ((value & AVX) && !(value & SSE))) return false;
  return !(value & kAvx512) || ((value & kAvx512) == kAvx512 && (value & AVX));
}
}  // namespace xcr0

namespace dr6 {
constexpr u64 B0 = bit(0), BD = bit(13), BS = bit(14), BT = bit(15);
constexpr u64 kFixed1 = 0xFFFF0FF0;
}  // namespace dr6
namespace dr7 {
constexpr u64 GD = bit(13), kFixed1 = bit(10);
}

/// Exception vectors (SDM 3A table 6-1).
enum class Vector : u8 {
  DE = 0,
  DB = 1,
  NMI = 2,
  BP = 3,
  OF = 4,
  BR = 5,
  UD = 6,
  NM = 7,
  DF = 8,
  TS = 10,
  NP = 11,
  SS = 12,
  GP = 13,
  PF = 14,
  MF = 16,
  AC = 17,
  MC = 18,
  XM = 19,
};

/// Page-fault error code bits (SDM 3A 4.7).
namespace pf {
constexpr u32 P = 1, W = 2, U = 4, RSVD = 8, I = 16;
}

/// A segment register with its hidden part.
struct Segment {
  u16 selector = 0;
  /// Descriptor bits 40..47 in the low byte (type, S, DPL, P) and 52..55 in bits 12..15 (AVL, L, D/B, G); bit 16
  /// is set in a segment that is unusable (null selector in protected mode, SDM 3C 24.4.1).
  u32 attributes = 0;
  u32 limit = 0;  ///< in bytes, granularity applied
  u64 base = 0;

  unsigned type() const { return attributes & 15; }
  bool s() const { return attributes & 0x10; }  ///< code or data, not system
  unsigned dpl() const { return (attributes >> 5) & 3; }
  bool present() const { return attributes & 0x80; }
  bool l() const { return attributes & 0x2000; }
  bool db() const { return attributes & 0x4000; }
  bool g() const { return attributes & 0x8000; }
  bool unusable() const { return attributes & 0x10000; }
  static constexpr u32 kUnusable = 0x10000;
  bool operator==(const Segment&) const = default;
};

struct DescriptorTable {
  u64 base = 0;
  u16 limit = 0;
  bool operator==(const DescriptorTable&) const = default;
};

}  // namespace vireo::vm::x86
