// MUL, IMUL, DIV, IDIV.
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

/// One-operand multiplication by the host, for its flags.
template <bool kSigned, class T>
void multiply(Cpu& cpu, T factor) {
  unsigned ax;
  T low = cpu.reg<T>(RAX * 8), high = 0;
  if constexpr (sizeof(T) == 1) {
    u16 product = low;
    u16 saved;
    if constexpr (kSigned) {
      asm("imulb %[m]\n\tmovw %%ax, %[s]\n\tlahf\n\tseto %%al"
          : "+a"(product), [s] "=&r"(saved)
          : [m] "r"(factor)
          : "cc");
    } else {
      asm("mulb %[m]\n\tmovw %%ax, %[s]\n\tlahf\n\tseto %%al"
          : "+a"(product), [s] "=&r"(saved)
          : [m] "r"(factor)
          : "cc");
    }
    ax = product;
    low = static_cast<T>(saved);
    high = static_cast<T>(saved >> 8);
  } else {
    T product_low;
    if constexpr (kSigned) {
      asm("imul %[m]\n\tmov %[a], %[l]\n\tlahf\n\tseto %%al"
          : [a] "+a"(low), "=&d"(high), [l] "=&r"(product_low)
          : [m] "r"(factor)
          : "cc");
    } else {
      asm("mul %[m]\n\tmov %[a], %[l]\n\tlahf\n\tseto %%al"
          : [a] "+a"(low), "=&d"(high), [l] "=&r"(product_low)
          : [m] "r"(factor)
          : "cc");
    }
    ax = static_cast<u16>(low);
    low = product_low;
  }
  cpu.rflags = merge_flags(cpu.rflags, ax);
  set_pair<T>(cpu, high, low);
}

template <class T>
T truncated_product(Cpu& cpu, T a, T b) {
  unsigned ax;
  asm("imul %[b], %[a]\n\tlahf\n\tseto %%al" : "=&a"(ax), [a] "+r"(a) : [b] "r"(b) : "cc");
  cpu.rflags = merge_flags(cpu.rflags, ax);
  return a;
}

template <bool kSigned, class T>
void divide(Cpu& cpu, T divisor) {
  using U = typename Wide<T>::U;
  using S = typename Wide<T>::S;
  using I = std::make_signed_t<T>;
  if (divisor == 0) cpu.raise(Vector::DE);
  const U dividend = accumulator<T>(cpu);
  if constexpr (kSigned) {
    const S numerator = static_cast<S>(dividend);
    const S denominator = static_cast<I>(divisor);
    if (denominator == -1) {  // the one quotient that overflows the wide type is among these
      const U magnitude = static_cast<U>(U{0} - dividend);
      const S quotient = static_cast<S>(magnitude);
      if (quotient != static_cast<I>(quotient) || (numerator != 0 && numerator == quotient)) cpu.raise(Vector::DE);
      return set_pair<T>(cpu, 0, static_cast<T>(quotient));
    }
    const S quotient = static_cast<S>(numerator / denominator);
    if (quotient != static_cast<I>(quotient)) cpu.raise(Vector::DE);
    set_pair<T>(cpu, static_cast<T>(numerator % denominator), static_cast<T>(quotient));
  } else {
    const U quotient = static_cast<U>(dividend / divisor);
    if (quotient > static_cast<T>(~T{0})) cpu.raise(Vector::DE);
    set_pair<T>(cpu, static_cast<T>(dividend % divisor), static_cast<T>(quotient));
  }
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
