// BT, BTS, BTR, BTC and bit scans.
#include "cpu/interp/flags.h"
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// Only CF is defined; the host leaves the rest as the manuals let it, and so do we: unchanged.
u64 with_carry(u64 flags, bool carry) { return carry ? flags | rflags::CF : flags & ~rflags::CF; }

enum class BitOp { Test, Set, Reset, Complement };

template <BitOp kOp, class T>
T apply(T value, T mask) {
  if constexpr (kOp == BitOp::Set) return static_cast<T>(value | mask);
  if constexpr (kOp == BitOp::Reset) return static_cast<T>(value & ~mask);
  if constexpr (kOp == BitOp::Complement) return static_cast<T>(value ^ mask);
  return value;
}

template <BitOp kOp, bool kImmediate>
struct Bit {
  template <class T>
  static u64 position(const Cpu& cpu, const Insn& insn) {
    return kImmediate ? insn.imm : sign_extend(cpu.reg<T>(insn.rm), sizeof(T));
  }
  template <class T>
  struct Reg {
    static void run(Cpu& cpu, const Insn& insn) {
      const unsigned at = position<T>(cpu, insn) & (sizeof(T) * 8 - 1);
      const T value = cpu.reg<T>(insn.reg);
      cpu.rflags = with_carry(cpu.rflags, (value >> at) & 1);
      if constexpr (kOp != BitOp::Test) cpu.set_reg<T>(insn.reg, apply<kOp>(value, static_cast<T>(T{1} << at)));
    }
  };
  template <class T>
  struct Mem {
    static void run(Cpu& cpu, const Insn& insn) {
      const u64 index = position<T>(cpu, insn);
      const unsigned at = index & (sizeof(T) * 8 - 1);
      u64 offset = cpu.effective_address(insn);
      if constexpr (!kImmediate) {  // a register index reaches beyond the operand (SDM 1 3.1.1.9, "bit addressing")
        constexpr unsigned kBits = sizeof(T) * 8;
        const i64 whole = static_cast<i64>(index - at) / kBits;
        offset = (offset + static_cast<u64>(whole) * sizeof(T)) & mask_for_size(insn.addr_size);
      }
      const Seg seg = seg_of(insn);
      if constexpr (kOp == BitOp::Test) {
        cpu.rflags = with_carry(cpu.rflags, (cpu.read<T>(seg, offset) >> at) & 1);
      } else {
        const T mask = static_cast<T>(T{1} << at);
        modify_at<T>(cpu, cpu.linear(seg, offset, sizeof(T), Access::Write), seg, insn.lock, [&](T old, u64& flags) {
          flags = with_carry(flags, (old & mask) != 0);
          return apply<kOp>(old, mask);
        });
      }
    }
  };
};

template <BitOp kOp>
Handler select_bit(const DecodedInsn& decoded, Insn& insn) {
  const bool immediate = decoded.operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
  if (!insn.has_mem) insn.reg = slot_of(decoded.operands[0].reg.value);
  if (!immediate) insn.rm = slot_of(decoded.operands[1].reg.value);
  if (immediate) {
    return insn.has_mem ? by_size_no_byte<Bit<kOp, true>::template Mem>(insn.op_size)
                        : by_size_no_byte<Bit<kOp, true>::template Reg>(insn.op_size);
  }
  return insn.has_mem ? by_size_no_byte<Bit<kOp, false>::template Mem>(insn.op_size)
                      : by_size_no_byte<Bit<kOp, false>::template Reg>(insn.op_size);
}

/// BSF and BSR by the host: a zero source leaves the destination alone and sets ZF.
template <bool kReverse>
struct Scan {
  template <class T>
  static void scan(Cpu& cpu, const Insn& insn, T source) {
    if constexpr (sizeof(T) > 1) {
      T value = cpu.reg<T>(insn.reg);
      unsigned ax = static_cast<unsigned>((cpu.rflags & 0xD5) << 8 | ((cpu.rflags >> 11) & 1));
      if constexpr (kReverse) {
        asm("addb $0x7f, %%al\n\tsahf\n\tbsr %[s], %[v]\n\tseto %%al\n\tlahf"
            : [v] "+r"(value), "+a"(ax)
            : [s] "r"(source)
            : "cc");
      } else {
        // Spelled out so that no assembler or processor takes it for TZCNT.
        asm("addb $0x7f, %%al\n\tsahf\n\tbsf %[s], %[v]\n\tseto %%al\n\tlahf"
            : [v] "+r"(value), "+a"(ax)
            : [s] "r"(source)
            : "cc");
      }
      cpu.rflags = merge_flags(cpu.rflags, ax);
      // With a zero source the upper half of a 32-bit destination stays as well (as on AMD and current Intel
      // processors).
      if (source != 0) cpu.set_reg<T>(insn.reg, value);
    }
  }
  template <class T>
  struct Reg {
    static void run(Cpu& cpu, const Insn& insn) { scan<T>(cpu, insn, cpu.reg<T>(insn.rm)); }
  };
  template <class T>
  struct Mem {
    static void run(Cpu& cpu, const Insn& insn) { scan<T>(cpu, insn, read_operand<T>(cpu, insn)); }
  };
  static Handler select(const DecodedInsn& decoded, Insn& insn) {
    insn.reg = slot_of(decoded.operands[0].reg.value);
    if (insn.has_mem) return by_size_no_byte<Mem>(insn.op_size);
    insn.rm = slot_of(decoded.operands[1].reg.value);
    return by_size_no_byte<Reg>(insn.op_size);
  }
};

}  // namespace

Handler select_bits(Cpu&, const DecodedInsn& decoded, Insn& insn) {
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_BT:
      return select_bit<BitOp::Test>(decoded, insn);
    case ZYDIS_MNEMONIC_BTS:
      return select_bit<BitOp::Set>(decoded, insn);
    case ZYDIS_MNEMONIC_BTR:
      return select_bit<BitOp::Reset>(decoded, insn);
    case ZYDIS_MNEMONIC_BTC:
      return select_bit<BitOp::Complement>(decoded, insn);
    case ZYDIS_MNEMONIC_BSF:
      return Scan<false>::select(decoded, insn);
    case ZYDIS_MNEMONIC_BSR:
      return Scan<true>::select(decoded, insn);
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
