// Moves and two-operand integer arithmetic.
#include "cpu/interp/flags.h"
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

// --- ADD OR ADC SBB AND SUB XOR CMP TEST
// ------------------------------------------------------------------------------------

template <class Op, bool kStores>
struct Binary {
  template <class T>
  struct RegReg {
    static void run(Cpu& cpu, const Insn& insn) {
      const T value = Op::run(cpu.reg<T>(insn.reg), cpu.reg<T>(insn.rm), cpu.rflags);
      if constexpr (kStores) cpu.set_reg<T>(insn.reg, value);
    }
  };
  template <class T>
  struct RegImm {
    static void run(Cpu& cpu, const Insn& insn) {
      const T value = Op::run(cpu.reg<T>(insn.reg), static_cast<T>(insn.imm), cpu.rflags);
      if constexpr (kStores) cpu.set_reg<T>(insn.reg, value);
    }
  };
  template <class T>
  struct RegMem {
    static void run(Cpu& cpu, const Insn& insn) {
      const T source = read_operand<T>(cpu, insn);
      const T value = Op::run(cpu.reg<T>(insn.reg), source, cpu.rflags);
      if constexpr (kStores) cpu.set_reg<T>(insn.reg, value);
    }
  };
  template <class T>
  static void to_memory(Cpu& cpu, const Insn& insn, T source) {
    if constexpr (kStores) {
      modify_operand<T>(cpu, insn, insn.lock, [&](T old, u64& flags) { return Op::run(old, source, flags); });
    } else {
      Op::run(read_operand<T>(cpu, insn), source, cpu.rflags);
    }
  }
  template <class T>
  struct MemReg {
    static void run(Cpu& cpu, const Insn& insn) { to_memory<T>(cpu, insn, cpu.reg<T>(insn.reg)); }
  };
  template <class T>
  struct MemImm {
    static void run(Cpu& cpu, const Insn& insn) { to_memory<T>(cpu, insn, static_cast<T>(insn.imm)); }
  };

  static Handler select(const DecodedInsn& decoded, Insn& insn) {
    const auto& to = decoded.operands[0];
    const auto& from = decoded.operands[1];
    if (to.type == ZYDIS_OPERAND_TYPE_MEMORY) {
      if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return by_size<MemImm>(insn.op_size);
      insn.reg = slot_of(from.reg.value);
      return by_size<MemReg>(insn.op_size);
    }
    insn.reg = slot_of(to.reg.value);
    if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return by_size<RegImm>(insn.op_size);
    if (from.type == ZYDIS_OPERAND_TYPE_MEMORY) return by_size<RegMem>(insn.op_size);
    insn.rm = slot_of(from.reg.value);
    return by_size<RegReg>(insn.op_size);
  }
};

// --- INC DEC NEG NOT
// ----------------------------------------------------------------------------------------------------------

template <class Op>
struct Unary {
  template <class T>
  struct Reg {
    static void run(Cpu& cpu, const Insn& insn) { cpu.set_reg<T>(insn.reg, Op::run(cpu.reg<T>(insn.reg), cpu.rflags)); }
  };
  template <class T>
  struct Mem {
    static void run(Cpu& cpu, const Insn& insn) {
      modify_operand<T>(cpu, insn, insn.lock, [](T old, u64& flags) { return Op::run(old, flags); });
    }
  };
  static Handler select(const DecodedInsn& decoded, Insn& insn) {
    if (insn.has_mem) return by_size<Mem>(insn.op_size);
    insn.reg = slot_of(decoded.operands[0].reg.value);
    return by_size<Reg>(insn.op_size);
  }
};

// --- MOV and friends
// ------------------------------------------------------------------------------------------------------------

template <class T>
struct MovRegReg {
  static void run(Cpu& cpu, const Insn& insn) { cpu.set_reg<T>(insn.reg, cpu.reg<T>(insn.rm)); }
};
template <class T>
struct MovRegImm {
  static void run(Cpu& cpu, const Insn& insn) { cpu.set_reg<T>(insn.reg, static_cast<T>(insn.imm)); }
};
template <class T>
struct MovLoad {
  static void run(Cpu& cpu, const Insn& insn) { cpu.set_reg<T>(insn.reg, read_operand<T>(cpu, insn)); }
};
template <class T>
struct MovStore {
  static void run(Cpu& cpu, const Insn& insn) { write_operand<T>(cpu, insn, cpu.reg<T>(insn.reg)); }
};
template <class T>
struct MovStoreImm {
  static void run(Cpu& cpu, const Insn& insn) { write_operand<T>(cpu, insn, static_cast<T>(insn.imm)); }
};
// The A0..A3 forms with a 64-bit address, which does not fit `disp`.
template <class T>
struct MovLoadAbsolute {
  static void run(Cpu& cpu, const Insn& insn) { cpu.set_reg<T>(insn.reg, cpu.read<T>(seg_of(insn), insn.imm)); }
};
template <class T>
struct MovStoreAbsolute {
  static void run(Cpu& cpu, const Insn& insn) { cpu.write<T>(seg_of(insn), insn.imm, cpu.reg<T>(insn.reg)); }
};

bool is_general(ZydisRegister reg) {
  const auto kind = ZydisRegisterGetClass(reg);
  return kind == ZYDIS_REGCLASS_GPR8 || kind == ZYDIS_REGCLASS_GPR16 || kind == ZYDIS_REGCLASS_GPR32 ||
         kind == ZYDIS_REGCLASS_GPR64;
}

Handler select_mov(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  const auto& to = decoded.operands[0];
  const auto& from = decoded.operands[1];
  for (const auto* operand : {&to, &from}) {
    if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER || is_general(operand->reg.value)) continue;
    return ZydisRegisterGetClass(operand->reg.value) == ZYDIS_REGCLASS_SEGMENT ? select_segment(cpu, decoded, insn)
                                                                               : select_system(cpu, decoded, insn);
  }
  const auto absolute = [&](const ZydisDecodedOperand& memory) {
    if (memory.mem.base != ZYDIS_REGISTER_NONE || memory.mem.index != ZYDIS_REGISTER_NONE || insn.addr_size != 8)
      return false;
    insn.imm = static_cast<u64>(memory.mem.disp.value);
    return true;
  };
  if (to.type == ZYDIS_OPERAND_TYPE_MEMORY) {
    if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return by_size<MovStoreImm>(insn.op_size);
    insn.reg = slot_of(from.reg.value);
    return absolute(to) ? by_size<MovStoreAbsolute>(insn.op_size) : by_size<MovStore>(insn.op_size);
  }
  insn.reg = slot_of(to.reg.value);
  if (from.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return by_size<MovRegImm>(insn.op_size);
  if (from.type == ZYDIS_OPERAND_TYPE_MEMORY) {
    return absolute(from) ? by_size<MovLoadAbsolute>(insn.op_size) : by_size<MovLoad>(insn.op_size);
  }
  insn.rm = slot_of(from.reg.value);
  return by_size<MovRegReg>(insn.op_size);
}

/// Destination size x source size, zero or sign extended.
template <class To, class From>
struct Extend {
  static void reg(Cpu& cpu, const Insn& insn) { cpu.set_reg<To>(insn.reg, static_cast<To>(cpu.reg<From>(insn.rm))); }
  static void mem(Cpu& cpu, const Insn& insn) {
    using Raw = std::make_unsigned_t<From>;
    cpu.set_reg<To>(insn.reg, static_cast<To>(static_cast<From>(read_operand<Raw>(cpu, insn))));
  }
};

template <class From>
Handler extend_to(unsigned to_size, bool memory) {
  switch (to_size) {
    case 2:
      return memory ? Extend<u16, From>::mem : Extend<u16, From>::reg;
    case 4:
      return memory ? Extend<u32, From>::mem : Extend<u32, From>::reg;
    default:
      return memory ? Extend<u64, From>::mem : Extend<u64, From>::reg;
  }
}

Handler select_extend(const DecodedInsn& decoded, Insn& insn) {
  const bool is_signed = insn.mnemonic != ZYDIS_MNEMONIC_MOVZX;
  insn.reg = slot_of(decoded.operands[0].reg.value);
  if (!insn.has_mem) insn.rm = slot_of(decoded.operands[1].reg.value);
  const unsigned to = decoded.operands[0].size / 8;
  switch (decoded.operands[1].size / 8) {
    case 1:
      return is_signed ? extend_to<i8>(to, insn.has_mem) : extend_to<u8>(to, insn.has_mem);
    case 2:
      return is_signed ? extend_to<i16>(to, insn.has_mem) : extend_to<u16>(to, insn.has_mem);
    default:
      return is_signed ? extend_to<i32>(to, insn.has_mem) : extend_to<u32>(to, insn.has_mem);
  }
}

template <class T>
struct Lea {
  static void run(Cpu& cpu, const Insn& insn) { cpu.set_reg<T>(insn.reg, static_cast<T>(cpu.effective_address(insn))); }
};

// --- XCHG XADD CMPXCHG: atomic on guest memory
// ----------------------------------------------------------------------------------

template <class T>
struct XchgReg {
  static void run(Cpu& cpu, const Insn& insn) {
    const T first = cpu.reg<T>(insn.reg);
    const T second = cpu.reg<T>(insn.rm);
    cpu.set_reg<T>(insn.reg, second);
    cpu.set_reg<T>(insn.rm, first);
  }
};
template <class T>
struct XchgMem {
  static void run(Cpu& cpu, const Insn& insn) {
    const T value = cpu.reg<T>(insn.reg);
    T seen{};
    modify_operand<T>(cpu, insn, true, [&](T old, u64&) {
      seen = old;
      return value;
    });
    cpu.set_reg<T>(insn.reg, seen);
  }
};
template <class T>
struct XaddReg {
  static void run(Cpu& cpu, const Insn& insn) {  // reg = destination, rm = source
    const T to = cpu.reg<T>(insn.reg);
    const T sum = OpAdd::run(to, cpu.reg<T>(insn.rm), cpu.rflags);
    cpu.set_reg<T>(insn.rm, to);
    cpu.set_reg<T>(insn.reg, sum);
  }
};
template <class T>
struct XaddMem {
  static void run(Cpu& cpu, const Insn& insn) {
    const T value = cpu.reg<T>(insn.reg);
    T seen{};
    modify_operand<T>(cpu, insn, insn.lock, [&](T old, u64& flags) {
      seen = old;
      return OpAdd::run(old, value, flags);
    });
    cpu.set_reg<T>(insn.reg, seen);
  }
};
template <class T>
struct CmpxchgReg {
  static void run(Cpu& cpu, const Insn& insn) {
    const T accumulator = cpu.reg<T>(RAX * 8);
    const T to = cpu.reg<T>(insn.reg);
    OpSub::run(accumulator, to, cpu.rflags);
    if (accumulator == to) {
      cpu.set_reg<T>(insn.reg, cpu.reg<T>(insn.rm));
    } else {
      cpu.set_reg<T>(RAX * 8, to);
    }
  }
};
template <class T>
struct CmpxchgMem {
  static void run(Cpu& cpu, const Insn& insn) {
    const T accumulator = cpu.reg<T>(RAX * 8);
    const T value = cpu.reg<T>(insn.reg);
    T seen{};
    // The store happens either way (SDM: the destination is written back), so the access is a write in both cases.
    modify_operand<T>(cpu, insn, insn.lock, [&](T old, u64& flags) {
      seen = old;
      OpSub::run(accumulator, old, flags);
      return old == accumulator ? value : old;
    });
    if (seen != accumulator) cpu.set_reg<T>(RAX * 8, seen);
  }
};

template <template <class> class Reg, template <class> class Mem>
Handler select_exchange(const DecodedInsn& decoded, Insn& insn) {
  const auto& to = decoded.operands[0];
  const auto& from = decoded.operands[1];
  if (insn.has_mem) {
    insn.reg = slot_of(to.type == ZYDIS_OPERAND_TYPE_MEMORY ? from.reg.value : to.reg.value);
    return by_size<Mem>(insn.op_size);
  }
  insn.reg = slot_of(to.reg.value);
  insn.rm = slot_of(from.reg.value);
  return by_size<Reg>(insn.op_size);
}

/// CMPXCHG8B and, with `Half` u64, CMPXCHG16B.
template <class Half, class Whole>
void cmpxchg_wide(Cpu& cpu, const Insn& insn) {
  const Seg seg = seg_of(insn);
  const u64 offset = cpu.effective_address(insn);
  // Misalignment comes before an address that is not canonical. CMPXCHG16B exists in 64-bit mode only.
  const u64 base = seg >= FS ? cpu.sys.segment[seg].base : 0;
  if (sizeof(Whole) == 16 && ((base + offset) & 15) != 0) cpu.raise(Vector::GP, 0);
  const u64 va = cpu.linear(seg, offset, sizeof(Whole), Access::Write);
  constexpr unsigned kBits = sizeof(Half) * 8;
  const auto pair = [&](RegSlot high, RegSlot low) {
    return (Whole{cpu.reg<Half>(high)} << kBits) | cpu.reg<Half>(low);
  };
  const Whole expected = pair(RDX * 8, RAX * 8);
  const Whole desired = pair(RCX * 8, RBX * 8);
  Whole seen = expected;
  if (u8* host = cpu.rmw_pointer(va, sizeof(Whole), seg)) {
    if constexpr (sizeof(Whole) == 16) {
      u64 low = static_cast<u64>(expected), high = static_cast<u64>(expected >> 64);
      asm volatile("lock cmpxchg16b %[m]"
                   : "+a"(low), "+d"(high), [m] "+m"(*reinterpret_cast<Whole*>(host))
                   : "b"(static_cast<u64>(desired)), "c"(static_cast<u64>(desired >> 64))
                   : "cc", "memory");
      seen = (Whole{high} << 64) | low;
    } else {
      compare_exchange<Whole>(host, seen, desired);
    }
    cpu.written(host, sizeof(Whole));
  } else {
    cpu.probe_write(va, sizeof(Whole), seg);
    SplitLock::acquire();
    cpu.read_bytes(va, &seen, sizeof(Whole), seg);
    const Whole result = seen == expected ? desired : seen;
    cpu.write_bytes(va, &result, sizeof(Whole), seg);
    SplitLock::release();
  }
  if (seen == expected) {
    cpu.rflags |= rflags::ZF;
  } else {
    cpu.rflags &= ~rflags::ZF;
    cpu.set_reg<Half>(RAX * 8, static_cast<Half>(seen));
    cpu.set_reg<Half>(RDX * 8, static_cast<Half>(seen >> kBits));
  }
}

// --- BSWAP, MOVBE, conversions, flag bits
// ------------------------------------------------------------------------------------------

template <class T>
T swapped(T value) {
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  if constexpr (sizeof(T) == 8) return __builtin_bswap64(value);
  return value;
}
template <class T>
struct Bswap {
  static void run(Cpu& cpu, const Insn& insn) {
    // A 16-bit BSWAP is undefined in the manuals; processors clear the register's low half.
    cpu.set_reg<T>(insn.reg, sizeof(T) == 2 ? T{0} : swapped(cpu.reg<T>(insn.reg)));
  }
};
template <class T>
struct MovbeLoad {
  static void run(Cpu& cpu, const Insn& insn) { cpu.set_reg<T>(insn.reg, swapped(read_operand<T>(cpu, insn))); }
};
template <class T>
struct MovbeStore {
  static void run(Cpu& cpu, const Insn& insn) { write_operand<T>(cpu, insn, swapped(cpu.reg<T>(insn.reg))); }
};

template <class To, class From>
void widen_accumulator(Cpu& cpu, const Insn&) {
  cpu.set_reg<To>(RAX * 8, static_cast<To>(static_cast<std::make_signed_t<From>>(cpu.reg<From>(RAX * 8))));
}
template <class T>
void sign_to_rdx(Cpu& cpu, const Insn&) {
  const auto value = static_cast<std::make_signed_t<T>>(cpu.reg<T>(RAX * 8));
  cpu.set_reg<T>(RDX * 8, static_cast<T>(value < 0 ? -1 : 0));
}

void nop(Cpu&, const Insn&) {}
void pause(Cpu&, const Insn&) { asm volatile("pause"); }
void lahf(Cpu& cpu, const Insn&) { cpu.set_reg<u8>(RAX * 8 + 1, static_cast<u8>((cpu.rflags & 0xD5) | 2)); }
void sahf(Cpu& cpu, const Insn&) { cpu.rflags = (cpu.rflags & ~u64{0xD5}) | (cpu.reg<u8>(RAX * 8 + 1) & 0xD5); }
template <u64 kFlag, bool kSet>
void flag_to(Cpu& cpu, const Insn&) {
  cpu.rflags = kSet ? cpu.rflags | kFlag : cpu.rflags & ~kFlag;
}
void cmc(Cpu& cpu, const Insn&) { cpu.rflags ^= rflags::CF; }
void salc(Cpu& cpu, const Insn&) { cpu.set_reg<u8>(RAX * 8, cpu.rflags & rflags::CF ? 0xFF : 0); }
/// The operand is hidden: insn.seg was set by the selector.
void xlat(Cpu& cpu, const Insn& insn) {
  u64 offset = cpu.reg<u64>(RBX * 8) + cpu.reg<u8>(RAX * 8);
  offset &= mask_for_size(insn.addr_size);
  cpu.set_reg<u8>(RAX * 8, cpu.read<u8>(seg_of(insn), offset));
}

// --- Decimal arithmetic (SDM 2: AAA AAS AAM AAD DAA DAS), absent in 64-bit code
// ----------------------------------------------------

void set_result_flags(Cpu& cpu, u8 value) {
  u64 flags = cpu.rflags;
  OpAnd::run<u8>(value, value, flags);
  constexpr u64 kWhich = rflags::SF | rflags::ZF | rflags::PF;
  cpu.rflags = (cpu.rflags & ~kWhich) | (flags & kWhich);
}

template <bool kSubtract>
void ascii_adjust(Cpu& cpu, const Insn&) {
  u16 ax = cpu.reg<u16>(RAX * 8);
  if ((ax & 0xF) > 9 || (cpu.rflags & rflags::AF)) {
    ax = static_cast<u16>(kSubtract ? ax - 0x106 : ax + 0x106);
    cpu.rflags |= rflags::AF | rflags::CF;
  } else {
    cpu.rflags &= ~(rflags::AF | rflags::CF);
  }
  ax &= 0xFF0F;
  cpu.set_reg<u16>(RAX * 8, ax);
  set_result_flags(cpu, static_cast<u8>(ax));
}

void aam(Cpu& cpu, const Insn& insn) {
  const u8 base = static_cast<u8>(insn.imm);
  if (base == 0) cpu.raise(Vector::DE);
  const u8 al = cpu.reg<u8>(RAX * 8);
  cpu.set_reg<u16>(RAX * 8, static_cast<u16>((al / base) << 8 | (al % base)));
  set_result_flags(cpu, static_cast<u8>(al % base));
}

void aad(Cpu& cpu, const Insn& insn) {
  const u16 ax = cpu.reg<u16>(RAX * 8);
  const u8 al = static_cast<u8>((ax & 0xFF) + (ax >> 8) * static_cast<u8>(insn.imm));
  cpu.set_reg<u16>(RAX * 8, al);
  set_result_flags(cpu, al);
}

template <bool kSubtract>
void decimal_adjust(Cpu& cpu, const Insn&) {
  const u8 old = cpu.reg<u8>(RAX * 8);
  const bool old_carry = cpu.rflags & rflags::CF;
  u8 al = old;
  bool carry = false;
  if ((old & 0xF) > 9 || (cpu.rflags & rflags::AF)) {
    carry = old_carry || (kSubtract ? old < 6 : old > 0xF9);
    al = static_cast<u8>(kSubtract ? al - 6 : al + 6);
    cpu.rflags |= rflags::AF;
  } else {
    cpu.rflags &= ~rflags::AF;
  }
  if (old > 0x99 || old_carry) {
    al = static_cast<u8>(kSubtract ? al - 0x60 : al + 0x60);
    carry = true;
  }
  cpu.rflags = carry ? cpu.rflags | rflags::CF : cpu.rflags & ~rflags::CF;
  cpu.set_reg<u8>(RAX * 8, al);
  set_result_flags(cpu, al);
}

}  // namespace

Handler select_integer(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  const auto only_reg = [&] { return slot_of(decoded.operands[0].reg.value); };
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
      return Binary<OpAdd, true>::select(decoded, insn);
    case ZYDIS_MNEMONIC_OR:
      return Binary<OpOr, true>::select(decoded, insn);
    case ZYDIS_MNEMONIC_ADC:
      return Binary<OpAdc, true>::select(decoded, insn);
    case ZYDIS_MNEMONIC_SBB:
      return Binary<OpSbb, true>::select(decoded, insn);
    case ZYDIS_MNEMONIC_AND:
      return Binary<OpAnd, true>::select(decoded, insn);
    case ZYDIS_MNEMONIC_SUB:
      return Binary<OpSub, true>::select(decoded, insn);
    case ZYDIS_MNEMONIC_XOR:
      return Binary<OpXor, true>::select(decoded, insn);
    case ZYDIS_MNEMONIC_CMP:
      return Binary<OpSub, false>::select(decoded, insn);
    case ZYDIS_MNEMONIC_TEST:
      return Binary<OpAnd, false>::select(decoded, insn);
    case ZYDIS_MNEMONIC_INC:
      return Unary<OpInc>::select(decoded, insn);
    case ZYDIS_MNEMONIC_DEC:
      return Unary<OpDec>::select(decoded, insn);
    case ZYDIS_MNEMONIC_NEG:
      return Unary<OpNeg>::select(decoded, insn);
    case ZYDIS_MNEMONIC_NOT:
      return Unary<OpNot>::select(decoded, insn);
    case ZYDIS_MNEMONIC_MOV:
      return select_mov(cpu, decoded, insn);
    case ZYDIS_MNEMONIC_MOVNTI:  // 32 bits without REX.W, in 16-bit code too
      insn.op_size = static_cast<u8>(decoded.operands[0].size / 8);
      return select_mov(cpu, decoded, insn);
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
      return select_extend(decoded, insn);
    case ZYDIS_MNEMONIC_LEA:
      insn.reg = only_reg();
      return by_size<Lea>(insn.op_size);
    case ZYDIS_MNEMONIC_XCHG:
      return select_exchange<XchgReg, XchgMem>(decoded, insn);
    case ZYDIS_MNEMONIC_XADD:
      return select_exchange<XaddReg, XaddMem>(decoded, insn);
    case ZYDIS_MNEMONIC_CMPXCHG:
      return select_exchange<CmpxchgReg, CmpxchgMem>(decoded, insn);
    case ZYDIS_MNEMONIC_CMPXCHG8B:
      return cmpxchg_wide<u32, u64>;
    case ZYDIS_MNEMONIC_CMPXCHG16B:
      return cmpxchg_wide<u64, u128>;
    case ZYDIS_MNEMONIC_BSWAP:
      insn.reg = only_reg();
      return by_size_no_byte<Bswap>(insn.op_size);
    case ZYDIS_MNEMONIC_MOVBE:
      insn.reg = slot_of(decoded.operands[decoded.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? 1 : 0].reg.value);
      return decoded.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? by_size_no_byte<MovbeStore>(insn.op_size)
                                                                   : by_size_no_byte<MovbeLoad>(insn.op_size);
    case ZYDIS_MNEMONIC_CBW:
      return widen_accumulator<u16, u8>;
    case ZYDIS_MNEMONIC_CWDE:
      return widen_accumulator<u32, u16>;
    case ZYDIS_MNEMONIC_CDQE:
      return widen_accumulator<u64, u32>;
    case ZYDIS_MNEMONIC_CWD:
      return sign_to_rdx<u16>;
    case ZYDIS_MNEMONIC_CDQ:
      return sign_to_rdx<u32>;
    case ZYDIS_MNEMONIC_CQO:
      return sign_to_rdx<u64>;
    case ZYDIS_MNEMONIC_NOP:
      return nop;
    case ZYDIS_MNEMONIC_PAUSE:
      return pause;
    case ZYDIS_MNEMONIC_LAHF:
      return lahf;
    case ZYDIS_MNEMONIC_SAHF:
      return sahf;
    case ZYDIS_MNEMONIC_CLC:
      return flag_to<rflags::CF, false>;
    case ZYDIS_MNEMONIC_STC:
      return flag_to<rflags::CF, true>;
    case ZYDIS_MNEMONIC_CLD:
      return flag_to<rflags::DF, false>;
    case ZYDIS_MNEMONIC_STD:
      return flag_to<rflags::DF, true>;
    case ZYDIS_MNEMONIC_CMC:
      return cmc;
    case ZYDIS_MNEMONIC_SALC:
      return salc;
    case ZYDIS_MNEMONIC_XLAT:
      insn.seg = static_cast<u8>(decoded.operands[0].mem.segment - ZYDIS_REGISTER_ES);
      return xlat;
    case ZYDIS_MNEMONIC_AAA:
      return ascii_adjust<false>;
    case ZYDIS_MNEMONIC_AAS:
      return ascii_adjust<true>;
    case ZYDIS_MNEMONIC_AAM:
      return aam;
    case ZYDIS_MNEMONIC_AAD:
      return aad;
    case ZYDIS_MNEMONIC_DAA:
      return decimal_adjust<false>;
    case ZYDIS_MNEMONIC_DAS:
      return decimal_adjust<true>;
    default:
      break;
  }
  return nullptr;
}

}  // namespace vireo::cpu::interp
