// Shifts and rotates, run by the host's own instruction between two flag transfers: SAHF and an addition that sets OF
// bring the guest's status flags in, LAHF and SETO take them out, so that counts of zero and undefined flags come out
// as on hardware.
#include "cpu/interp/flags.h"
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

unsigned flags_in(u64 flags) { return static_cast<unsigned>((flags & 0xD5) << 8 | ((flags >> 11) & 1)); }

#define VIREO_SHIFT(Name, instruction)                                                  \
  struct Name {                                                                         \
    template <class T>                                                                  \
    static T run(T a, u8 count, u64& flags) {                                           \
      unsigned ax = flags_in(flags);                                                    \
      asm("addb $0x7f, %%al\n\tsahf\n\t" instruction " %%cl, %[a]\n\tseto %%al\n\tlahf" \
          : [a] "+r"(a), "+a"(ax)                                                       \
          : "c"(count)                                                                  \
          : "cc");                                                                      \
      flags = merge_flags(flags, ax);                                                   \
      return a;                                                                         \
    }                                                                                   \
  };
VIREO_SHIFT(OpShl, "shl")
VIREO_SHIFT(OpShr, "shr")
VIREO_SHIFT(OpSar, "sar")
VIREO_SHIFT(OpRol, "rol")
VIREO_SHIFT(OpRor, "ror")
VIREO_SHIFT(OpRcl, "rcl")
VIREO_SHIFT(OpRcr, "rcr")
#undef VIREO_SHIFT

#define VIREO_DOUBLE_SHIFT(Name, instruction)                                                 \
  struct Name {                                                                               \
    template <class T>                                                                        \
    static T run(T a, T b, u8 count, u64& flags) {                                            \
      unsigned ax = flags_in(flags);                                                          \
      asm("addb $0x7f, %%al\n\tsahf\n\t" instruction " %%cl, %[b], %[a]\n\tseto %%al\n\tlahf" \
          : [a] "+r"(a), "+a"(ax)                                                             \
          : "c"(count), [b] "r"(b)                                                            \
          : "cc");                                                                            \
      flags = merge_flags(flags, ax);                                                         \
      return a;                                                                               \
    }                                                                                         \
  };
VIREO_DOUBLE_SHIFT(OpShld, "shld")
VIREO_DOUBLE_SHIFT(OpShrd, "shrd")
#undef VIREO_DOUBLE_SHIFT

struct ByImmediate {
  static u8 count(const Cpu&, const Insn& insn) { return static_cast<u8>(insn.imm); }
};
struct ByCl {
  static u8 count(const Cpu& cpu, const Insn&) { return cpu.reg<u8>(RCX * 8); }
};

template <class Op, class Count>
struct Shift {
  template <class T>
  struct Reg {
    static void run(Cpu& cpu, const Insn& insn) {
      cpu.set_reg<T>(insn.reg, Op::run(cpu.reg<T>(insn.reg), Count::count(cpu, insn), cpu.rflags));
    }
  };
  template <class T>
  struct Mem {
    static void run(Cpu& cpu, const Insn& insn) {
      const u8 count = Count::count(cpu, insn);
      modify_operand<T>(cpu, insn, false, [&](T old, u64& flags) { return Op::run(old, count, flags); });
    }
  };
};

template <class Op>
Handler select_single(const DecodedInsn& decoded, Insn& insn) {
  const auto& count = decoded.operands[1];
  const bool by_cl = count.type == ZYDIS_OPERAND_TYPE_REGISTER;
  insn.imm = by_cl ? 0 : count.imm.value.u;  // the shift-by-1 forms have an implicit immediate
  if (!insn.has_mem) insn.reg = slot_of(decoded.operands[0].reg.value);
  if (by_cl) {
    return insn.has_mem ? by_size<Shift<Op, ByCl>::template Mem>(insn.op_size)
                        : by_size<Shift<Op, ByCl>::template Reg>(insn.op_size);
  }
  return insn.has_mem ? by_size<Shift<Op, ByImmediate>::template Mem>(insn.op_size)
                      : by_size<Shift<Op, ByImmediate>::template Reg>(insn.op_size);
}

template <class Op, class Count>
struct DoubleShift {
  template <class T>
  struct Reg {
    static void run(Cpu& cpu, const Insn& insn) {
      if constexpr (sizeof(T) > 1) {
        cpu.set_reg<T>(insn.reg,
                       Op::run(cpu.reg<T>(insn.reg), cpu.reg<T>(insn.rm), Count::count(cpu, insn), cpu.rflags));
      }
    }
  };
  template <class T>
  struct Mem {
    static void run(Cpu& cpu, const Insn& insn) {
      if constexpr (sizeof(T) > 1) {
        const u8 count = Count::count(cpu, insn);
        const T source = cpu.reg<T>(insn.rm);
        modify_operand<T>(cpu, insn, false, [&](T old, u64& flags) { return Op::run(old, source, count, flags); });
      }
    }
  };
};

template <class Op>
Handler select_double(const DecodedInsn& decoded, Insn& insn) {
  const auto& count = decoded.operands[2];
  const bool by_cl = count.type == ZYDIS_OPERAND_TYPE_REGISTER;
  if (!by_cl) insn.imm = count.imm.value.u;
  if (!insn.has_mem) insn.reg = slot_of(decoded.operands[0].reg.value);
  insn.rm = slot_of(decoded.operands[1].reg.value);
  if (by_cl) {
    return insn.has_mem ? by_size_no_byte<DoubleShift<Op, ByCl>::template Mem>(insn.op_size)
                        : by_size_no_byte<DoubleShift<Op, ByCl>::template Reg>(insn.op_size);
  }
  return insn.has_mem ? by_size_no_byte<DoubleShift<Op, ByImmediate>::template Mem>(insn.op_size)
                      : by_size_no_byte<DoubleShift<Op, ByImmediate>::template Reg>(insn.op_size);
}

}  // namespace

Handler select_shift(Cpu&, const DecodedInsn& decoded, Insn& insn) {
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
      return select_single<OpShl>(decoded, insn);
    case ZYDIS_MNEMONIC_SHR:
      return select_single<OpShr>(decoded, insn);
    case ZYDIS_MNEMONIC_SAR:
      return select_single<OpSar>(decoded, insn);
    case ZYDIS_MNEMONIC_ROL:
      return select_single<OpRol>(decoded, insn);
    case ZYDIS_MNEMONIC_ROR:
      return select_single<OpRor>(decoded, insn);
    case ZYDIS_MNEMONIC_RCL:
      return select_single<OpRcl>(decoded, insn);
    case ZYDIS_MNEMONIC_RCR:
      return select_single<OpRcr>(decoded, insn);
    case ZYDIS_MNEMONIC_SHLD:
      return select_double<OpShld>(decoded, insn);
    case ZYDIS_MNEMONIC_SHRD:
      return select_double<OpShrd>(decoded, insn);
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
