// Arithmetic with the status flags of the host's own instruction: exact by construction, the undefined ones included.
#pragma once

#include "cpu/interp/cpu.h"

namespace vireo::cpu::interp {

/// `ax` as left by LAHF and SETO AL.
inline u64 merge_flags(u64 rflags, unsigned ax, u64 which = vm::x86::rflags::kStatus) {
  const u64 status = ((ax >> 8) & 0xD5) | (u64{ax & 1} << 11);
  return (rflags & ~which) | (status & which);
}

#define VIREO_BINARY(Name, instruction)                                                                 \
  struct Name {                                                                                         \
    template <class T>                                                                                  \
    static T run(T a, T b, u64& rflags) {                                                               \
      unsigned ax;                                                                                      \
      asm(instruction " %[b], %[a]\n\tlahf\n\tseto %%al" : "=&a"(ax), [a] "+r"(a) : [b] "r"(b) : "cc"); \
      rflags = merge_flags(rflags, ax);                                                                 \
      return a;                                                                                         \
    }                                                                                                   \
  };
#define VIREO_BINARY_CARRY(Name, instruction)                                \
  struct Name {                                                              \
    template <class T>                                                       \
    static T run(T a, T b, u64& rflags) {                                    \
      unsigned ax;                                                           \
      asm("btl $0, %k[f]\n\t" instruction " %[b], %[a]\n\tlahf\n\tseto %%al" \
          : "=&a"(ax), [a] "+r"(a)                                           \
          : [b] "r"(b), [f] "r"(rflags)                                      \
          : "cc");                                                           \
      rflags = merge_flags(rflags, ax);                                      \
      return a;                                                              \
    }                                                                        \
  };
#define VIREO_UNARY(Name, instruction, which)                                          \
  struct Name {                                                                        \
    template <class T>                                                                 \
    static T run(T a, u64& rflags) {                                                   \
      unsigned ax;                                                                     \
      asm(instruction " %[a]\n\tlahf\n\tseto %%al" : "=&a"(ax), [a] "+r"(a) : : "cc"); \
      rflags = merge_flags(rflags, ax, which);                                         \
      return a;                                                                        \
    }                                                                                  \
  };

VIREO_BINARY(OpAdd, "add")
VIREO_BINARY(OpSub, "sub")
VIREO_BINARY(OpAnd, "and")
VIREO_BINARY(OpOr, "or")
VIREO_BINARY(OpXor, "xor")
VIREO_BINARY_CARRY(OpAdc, "adc")
VIREO_BINARY_CARRY(OpSbb, "sbb")
VIREO_UNARY(OpInc, "inc", vm::x86::rflags::kStatus & ~vm::x86::rflags::CF)
VIREO_UNARY(OpDec, "dec", vm::x86::rflags::kStatus & ~vm::x86::rflags::CF)
VIREO_UNARY(OpNeg, "neg", vm::x86::rflags::kStatus)

#undef VIREO_BINARY
#undef VIREO_BINARY_CARRY
#undef VIREO_UNARY

struct OpNot {
  template <class T>
  static T run(T a, u64&) {
    return static_cast<T>(~a);
  }
};

/// Jcc/SETcc/CMOVcc condition by the low nibble of the opcode (SDM 1 appendix B).
inline bool condition(u64 flags, unsigned nibble) {
  using namespace vm::x86;
  bool value;
  switch (nibble >> 1) {
    case 0:
      value = flags & rflags::OF;
      break;
    case 1:
      value = flags & rflags::CF;
      break;
    case 2:
      value = flags & rflags::ZF;
      break;
    case 3:
      value = flags & (rflags::CF | rflags::ZF);
      break;
    case 4:
      value = flags & rflags::SF;
      break;
    case 5:
      value = flags & rflags::PF;
      break;
    case 6:
      value = ((flags >> 7) ^ (flags >> 11)) & 1;
      break;
    default:
      value = (flags & rflags::ZF) || (((flags >> 7) ^ (flags >> 11)) & 1);
      break;
  }
  return value != ((nibble & 1) != 0);
}

}  // namespace vireo::cpu::interp
