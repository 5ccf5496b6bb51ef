// MUL, IMUL, DIV, IDIV.
#include <limits>

#include "cpu/interp/flags.h"
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

template <class T>
struct Wide;
template <>
struct Wide<u8> {
  using U = u16;
  using S = i16;
};
template <>
struct Wide<u16> {
  using U = u32;
  using S = i32;
};
template <>
struct Wide<u32> {
  using U = u64;
  using S = i64;
};
template <>
struct Wide<u64> {
  using U = u128;
  using S = i128;
};

/// The double-width accumulator: AX, DX:AX, EDX:EAX, RDX:RAX.
template <class T>
typename Wide<T>::U accumulator(const Cpu& cpu) {
  using U = typename Wide<T>::U;
  if constexpr (sizeof(T) == 1) return cpu.reg<u16>(RAX * 8);
  if constexpr (sizeof(T) > 1) return static_cast<U>((U{cpu.reg<T>(RDX * 8)} << (sizeof(T) * 8)) | cpu.reg<T>(RAX * 8));
}
template <class T>
void set_pair(Cpu& cpu, T high, T low) {
  if constexpr (sizeof(T) == 1) {
    cpu.set_reg<u16>(RAX * 8, static_cast<u16>(high << 8 | low));
  } else {
    cpu.set_reg<T>(RAX * 8, low);
    cpu.set_reg<T>(RDX * 8, high);
  }
}

/// AX from which SAHF, after ADD AL, 7Fh, loads the status flags: those an instruction leaves alone, or defines only on
/// other processors, come out as the host has it.
template <class T = u16>
T flags_in_ax(const Cpu& cpu) {
  return static_cast<T>((cpu.rflags & 0xFF) << 8 | bits(cpu.rflags, 11, 1));
}

/// One-operand multiplication or division by the host. Of the operands `low` is AL..RAX and `high` AH..RDX; both are
/// replaced by the results.
#define VIREO_PAIR(Name, instruction)                                                                                 \
  template <class T>                                                                                                  \
  void Name(Cpu& cpu, T& low, T& high, T operand) {                                                                   \
    if constexpr (sizeof(T) == 1) {                                                                                   \
      u16 ax = flags_in_ax(cpu);                                                                                      \
      u16 pair = static_cast<u16>(high << 8 | low);                                                                   \
      asm("addb $0x7F, %%al\n\tsahf\n\tmovw %[p], %%ax\n\t" instruction                                               \
          "b %[m]\n\tmovw %%ax, %[p]\n\tlahf\n\tseto %%al"                                                            \
          : "+&a"(ax), [p] "+&r"(pair)                                                                                \
          : [m] "r"(operand)                                                                                          \
          : "cc");                                                                                                    \
      low = static_cast<T>(pair);                                                                                     \
      high = static_cast<T>(pair >> 8);                                                                               \
      cpu.rflags = merge_flags(cpu.rflags, ax);                                                                       \
    } else {                                                                                                          \
      T ax = flags_in_ax<T>(cpu);                                                                                     \
      asm("addb $0x7F, %%al\n\tsahf\n\tmov %[l], %[a]\n\t" instruction " %[m]\n\tmov %[a], %[l]\n\tlahf\n\tseto %%al" \
          : [a] "+&a"(ax), "+&d"(high), [l] "+&r"(low)                                                                \
          : [m] "r"(operand)                                                                                          \
          : "cc");                                                                                                    \
      cpu.rflags = merge_flags(cpu.rflags, static_cast<u16>(ax));                                                     \
    }                                                                                                                 \
  }
VIREO_PAIR(host_mul, "mul")
VIREO_PAIR(host_imul, "imul")
VIREO_PAIR(host_div, "div")
VIREO_PAIR(host_idiv, "idiv")
#undef VIREO_PAIR

template <bool kSigned, class T>
void multiply(Cpu& cpu, T factor) {
  T low = cpu.reg<T>(RAX * 8), high = 0;
  if constexpr (kSigned) {
    host_imul<T>(cpu, low, high, factor);
  } else {
    host_mul<T>(cpu, low, high, factor);
  }
  set_pair<T>(cpu, high, low);
}

template <class T>
T truncated_product(Cpu& cpu, T a, T b) {
  u16 ax = flags_in_ax(cpu);
  asm("addb $0x7F, %%al\n\tsahf\n\timul %[b], %[a]\n\tlahf\n\tseto %%al" : "+&a"(ax), [a] "+&r"(a) : [b] "r"(b) : "cc");
  cpu.rflags = merge_flags(cpu.rflags, ax);
  return a;
}

/// Whether the quotient fits: the host must not fault.
template <bool kSigned, class T>
bool quotient_fits(typename Wide<T>::U dividend, T divisor) {
  if (divisor == 0) return false;
  if constexpr (kSigned) {
    using S = typename Wide<T>::S;
    using I = std::make_signed_t<T>;
    const S numerator = static_cast<S>(dividend);
    const S denominator = static_cast<I>(divisor);
    if (denominator == -1)
      return numerator >= -S{std::numeric_limits<I>::max()} && numerator <= S{std::numeric_limits<I>::max()} + 1;
    const S quotient = static_cast<S>(numerator / denominator);
    return quotient == static_cast<I>(quotient);
  } else {
    return static_cast<T>(dividend >> (8 * sizeof(T))) < divisor;
  }
}

template <bool kSigned, class T>
void divide(Cpu& cpu, T divisor) {
  const auto dividend = accumulator<T>(cpu);
  if (!quotient_fits<kSigned, T>(dividend, divisor)) cpu.raise(Vector::DE);
  T low = static_cast<T>(dividend), high = static_cast<T>(dividend >> (8 * sizeof(T)));
  if constexpr (kSigned) {
    host_idiv<T>(cpu, low, high, divisor);
  } else {
    host_div<T>(cpu, low, high, divisor);
  }
  set_pair<T>(cpu, high, low);
}

enum class Kind { Mul, Imul, Div, Idiv };

template <Kind kKind>
struct OneOperand {
  template <class T>
  static void go(Cpu& cpu, T value) {
    if constexpr (kKind == Kind::Mul) multiply<false, T>(cpu, value);
    if constexpr (kKind == Kind::Imul) multiply<true, T>(cpu, value);
    if constexpr (kKind == Kind::Div) divide<false, T>(cpu, value);
    if constexpr (kKind == Kind::Idiv) divide<true, T>(cpu, value);
  }
  template <class T>
  struct Reg {
    static void run(Cpu& cpu, const Insn& insn) { go<T>(cpu, cpu.reg<T>(insn.reg)); }
  };
  template <class T>
  struct Mem {
    static void run(Cpu& cpu, const Insn& insn) { go<T>(cpu, read_operand<T>(cpu, insn)); }
  };
  static Handler select(const DecodedInsn& decoded, Insn& insn) {
    if (insn.has_mem) return by_size<Mem>(insn.op_size);
    insn.reg = slot_of(decoded.operands[0].reg.value);
    return by_size<Reg>(insn.op_size);
  }
};

template <bool kImmediate>
struct ImulTruncating {
  template <class T>
  struct Reg {
    static void run(Cpu& cpu, const Insn& insn) {
      if constexpr (sizeof(T) > 1) {
        const T other = kImmediate ? static_cast<T>(insn.imm) : cpu.reg<T>(insn.reg);
        cpu.set_reg<T>(insn.reg, truncated_product<T>(cpu, cpu.reg<T>(insn.rm), other));
      }
    }
  };
  template <class T>
  struct Mem {
    static void run(Cpu& cpu, const Insn& insn) {
      if constexpr (sizeof(T) > 1) {
        const T source = read_operand<T>(cpu, insn);
        const T other = kImmediate ? static_cast<T>(insn.imm) : cpu.reg<T>(insn.reg);
        cpu.set_reg<T>(insn.reg, truncated_product<T>(cpu, source, other));
      }
    }
  };
};

Handler select_imul(const DecodedInsn& decoded, Insn& insn) {
  const unsigned visible = decoded.instruction.operand_count_visible;
  const bool three = visible >= 3 && decoded.operands[2].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
  const bool one = decoded.operands[0].visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT ||
                   decoded.operands[1].visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
  if (one && !three) return OneOperand<Kind::Imul>::select(decoded, insn);
  insn.reg = slot_of(decoded.operands[0].reg.value);
  if (!insn.has_mem) insn.rm = slot_of(decoded.operands[1].reg.value);
  if (three) {
    return insn.has_mem ? by_size_no_byte<ImulTruncating<true>::Mem>(insn.op_size)
                        : by_size_no_byte<ImulTruncating<true>::Reg>(insn.op_size);
  }
  return insn.has_mem ? by_size_no_byte<ImulTruncating<false>::Mem>(insn.op_size)
                      : by_size_no_byte<ImulTruncating<false>::Reg>(insn.op_size);
}

}  // namespace

Handler select_multiply(Cpu&, const DecodedInsn& decoded, Insn& insn) {
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_MUL:
      return OneOperand<Kind::Mul>::select(decoded, insn);
    case ZYDIS_MNEMONIC_IMUL:
      return select_imul(decoded, insn);
    case ZYDIS_MNEMONIC_DIV:
      return OneOperand<Kind::Div>::select(decoded, insn);
    case ZYDIS_MNEMONIC_IDIV:
      return OneOperand<Kind::Idiv>::select(decoded, insn);
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
