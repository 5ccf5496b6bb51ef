#include "cpu/translate/guest.h"

#include <algorithm>
#include <cstring>

#include "cpu/interp/host_exec.h"

namespace vireo::cpu::translate {

using namespace vm::x86;

namespace {

ZydisDecoder make_decoder(ZydisMachineMode mode, ZydisStackWidth stack) {
  ZydisDecoder made;
  ZydisDecoderInit(&made, mode, stack);
  ZydisDecoderEnableMode(&made, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
  for (auto off :
       {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_CLDEMOTE, ZYDIS_DECODER_MODE_WBNOINVD}) {
    ZydisDecoderEnableMode(&made, off, ZYAN_FALSE);
  }
  return made;
}

const ZydisDecoder& decoder(bool code32) {
  static const ZydisDecoder wide = make_decoder(ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  static const ZydisDecoder narrow = make_decoder(ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
  return code32 ? narrow : wide;
}

bool is_gpr(ZydisRegisterClass c) {
  return c == ZYDIS_REGCLASS_GPR8 || c == ZYDIS_REGCLASS_GPR16 || c == ZYDIS_REGCLASS_GPR32 ||
         c == ZYDIS_REGCLASS_GPR64;
}

bool is_vector(ZydisRegisterClass c) {
  return c == ZYDIS_REGCLASS_XMM || c == ZYDIS_REGCLASS_YMM || c == ZYDIS_REGCLASS_ZMM || c == ZYDIS_REGCLASS_MASK;
}

struct GprName {
  u8 reg;
  bool high;
};

GprName gpr_of(ZydisRegister reg) {
  const auto id = static_cast<u8>(ZydisRegisterGetId(reg));
  if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR8) return {id, false};
  if (id < 4) return {id, false};
  if (id < 8) return {static_cast<u8>(id - 4), true};
  return {static_cast<u8>(id - 4), false};
}

/// General-register instructions that are copied, besides those of the announced newer sets.
bool is_plain_integer(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST:
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
    case ZYDIS_MNEMONIC_NEG:
    case ZYDIS_MNEMONIC_NOT:
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVZX:
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
    case ZYDIS_MNEMONIC_XCHG:
    case ZYDIS_MNEMONIC_XADD:
    case ZYDIS_MNEMONIC_CMPXCHG:
    case ZYDIS_MNEMONIC_CMPXCHG8B:
    case ZYDIS_MNEMONIC_CMPXCHG16B:
    case ZYDIS_MNEMONIC_BSWAP:
    case ZYDIS_MNEMONIC_MOVNTI:
    case ZYDIS_MNEMONIC_CBW:
    case ZYDIS_MNEMONIC_CWDE:
    case ZYDIS_MNEMONIC_CDQE:
    case ZYDIS_MNEMONIC_CWD:
    case ZYDIS_MNEMONIC_CDQ:
    case ZYDIS_MNEMONIC_CQO:
    case ZYDIS_MNEMONIC_PAUSE:
    case ZYDIS_MNEMONIC_LAHF:
    case ZYDIS_MNEMONIC_SAHF:
    case ZYDIS_MNEMONIC_CLC:
    case ZYDIS_MNEMONIC_STC:
    case ZYDIS_MNEMONIC_CMC:
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR:
    case ZYDIS_MNEMONIC_MUL:
    case ZYDIS_MNEMONIC_IMUL:
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV:
    case ZYDIS_MNEMONIC_MFENCE:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_SFENCE:
      return true;
    default:
      return (mnemonic >= ZYDIS_MNEMONIC_SETB && mnemonic <= ZYDIS_MNEMONIC_SETZ &&
              mnemonic != ZYDIS_MNEMONIC_SETSSBSY) ||
             (mnemonic >= ZYDIS_MNEMONIC_CMOVB && mnemonic <= ZYDIS_MNEMONIC_CMOVZ);
  }
}

/// With a register as bit number the memory operand is a bit string of any length.
bool is_bit_test(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_BT || mnemonic == ZYDIS_MNEMONIC_BTS || mnemonic == ZYDIS_MNEMONIC_BTR ||
         mnemonic == ZYDIS_MNEMONIC_BTC;
}

bool is_hint(const ZydisDecodedInstruction& in) {
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_ENDBR32:
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
      return true;
    default:
      return false;
  }
}

/// Instructions after which straight-line code does not simply go on.
bool ends(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_RET:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_INTO:
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_SYSEXIT:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC:
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD:
      return true;
    default:
      return false;
  }
}

bool has_hidden_register(const GuestInsn& insn, u16 which) {
  for (unsigned i = 0; i < insn.in.operand_count; ++i) {
    const auto& operand = insn.operands[i];
    if (operand.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT || operand.type != ZYDIS_OPERAND_TYPE_REGISTER)
      continue;
    if (!is_gpr(ZydisRegisterGetClass(operand.reg.value))) continue;
    if (which & (1u << gpr_of(operand.reg.value).reg)) return true;
  }
  return false;
}

bool describe_memory(const ZydisDecodedOperand& operand, const GuestInsn& insn, MemOperand& mem) {
  const auto& m = operand.mem;
  if (m.type != ZYDIS_MEMOP_TYPE_MEM && m.type != ZYDIS_MEMOP_TYPE_AGEN) return false;
  mem.present = true;
  mem.agen = m.type == ZYDIS_MEMOP_TYPE_AGEN;
  mem.read = operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ;
  mem.written = operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
  mem.narrow = insn.in.address_width == 32;
  if (insn.in.address_width == 16) return false;
  mem.size = static_cast<u8>(operand.size / 8);
  mem.disp = m.disp.has_displacement ? m.disp.value : 0;
  if (m.base == ZYDIS_REGISTER_RIP || m.base == ZYDIS_REGISTER_EIP) {
    mem.disp += static_cast<i64>(insn.next_rip());
    if (mem.narrow) mem.disp = static_cast<u32>(mem.disp);
  } else if (m.base != ZYDIS_REGISTER_NONE) {
    if (!is_gpr(ZydisRegisterGetClass(m.base))) return false;
    mem.base = static_cast<i8>(ZydisRegisterGetId(m.base));
  }
  if (m.index != ZYDIS_REGISTER_NONE) {
    if (!is_gpr(ZydisRegisterGetClass(m.index))) return false;
    mem.index = static_cast<i8>(ZydisRegisterGetId(m.index));
    mem.scale = m.scale == 8 ? 3 : m.scale == 4 ? 2 : m.scale == 2 ? 1 : 0;
  }
  if (insn.code32()) {
    if (m.segment == ZYDIS_REGISTER_CS) return false;  // not writable, perhaps not readable
    // A register and a little: what checks let pass does not wrap (kWrapMargin).
    const bool little = mem.disp >= -kWrapMargin && mem.disp <= kWrapMargin;
    const bool based = m.segment == ZYDIS_REGISTER_FS || m.segment == ZYDIS_REGISTER_GS;
    if (mem.base >= 0 || mem.index >= 0) {
      mem.narrow = mem.agen || mem.index >= 0 || !little || based;
    } else {
      mem.narrow = false;
      if (!based) mem.disp = static_cast<u32>(mem.disp);
    }
  }
  mem.segment = m.segment == ZYDIS_REGISTER_FS   ? u8{FS}
                : m.segment == ZYDIS_REGISTER_GS ? u8{GS}
                : m.segment == ZYDIS_REGISTER_SS ? u8{SS}
                                                 : u8{DS};
  return mem.agen || (operand.size % 8 == 0 && mem.size >= 1 && mem.size <= 64);
}

/// From memory to a general register: without a vector register, but by MXCSR.
bool converts_by_mxcsr(const ZydisDecodedInstruction& in) {
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_CVTSS2SI:
    case ZYDIS_MNEMONIC_CVTSD2SI:
    case ZYDIS_MNEMONIC_CVTTSS2SI:
    case ZYDIS_MNEMONIC_CVTTSD2SI:
    case ZYDIS_MNEMONIC_VCVTSS2SI:
    case ZYDIS_MNEMONIC_VCVTSD2SI:
    case ZYDIS_MNEMONIC_VCVTTSS2SI:
    case ZYDIS_MNEMONIC_VCVTTSD2SI:
      return true;
    default:
      return in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
  }
}

/// Fills regs and mem. False: an operand that copying cannot deal with.
bool describe_operands(GuestInsn& insn) {
  if (converts_by_mxcsr(insn.in)) insn.vector = true;
  for (unsigned i = 0; i < insn.in.operand_count; ++i) {
    const auto& operand = insn.operands[i];
    const bool written = operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    if (operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
      if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) return false;
      if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
        const auto c = ZydisRegisterGetClass(operand.reg.value);
        if (is_gpr(c)) {
          if (written) insn.written_gprs |= static_cast<u16>(1u << gpr_of(operand.reg.value).reg);
          if (operand.reg.value == ZYDIS_REGISTER_CL && !written) insn.reads_rcx = true;  // a shift's count
        } else if (is_vector(c)) {
          insn.vector = true;
        } else if (c != ZYDIS_REGCLASS_FLAGS && operand.reg.value != ZYDIS_REGISTER_MXCSR) {
          return false;
        }
      }
      continue;
    }
    switch (operand.type) {
      case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        insn.imm = operand.imm.is_signed ? operand.imm.value.s : static_cast<i64>(operand.imm.value.u);
        break;
      case ZYDIS_OPERAND_TYPE_MEMORY:
        if (insn.mem.present || !describe_memory(operand, insn, insn.mem)) return false;
        break;
      case ZYDIS_OPERAND_TYPE_REGISTER: {
        const auto c = ZydisRegisterGetClass(operand.reg.value);
        if (is_vector(c)) {
          insn.vector = true;
          break;
        }
        if (!is_gpr(c)) return false;
        RegOperand reg;
        switch (operand.encoding) {
          case ZYDIS_OPERAND_ENCODING_MODRM_REG:
            reg.place = RegOperand::ModrmReg;
            break;
          case ZYDIS_OPERAND_ENCODING_MODRM_RM:
            reg.place = RegOperand::ModrmRm;
            break;
          case ZYDIS_OPERAND_ENCODING_NDSNDD:
            reg.place = RegOperand::Vvvv;
            break;
          case ZYDIS_OPERAND_ENCODING_OPCODE:
            reg.place = RegOperand::Opcode;
            break;
          default:  // fixed by the opcode: the accumulator, CL, DX
            if (written) insn.written_gprs |= static_cast<u16>(1u << gpr_of(operand.reg.value).reg);
            if (gpr_of(operand.reg.value).reg == RCX) {
              if (written) return false;
              insn.reads_rcx = true;
            } else if (gpr_of(operand.reg.value).reg != RAX) {
              return false;
            }
            continue;
        }
        const auto name = gpr_of(operand.reg.value);
        reg.reg = name.reg;
        reg.high = name.high;
        reg.size = static_cast<u8>(operand.size / 8);
        reg.read = (operand.actions & (ZYDIS_OPERAND_ACTION_MASK_READ | ZYDIS_OPERAND_ACTION_CONDWRITE)) != 0 ||
                   insn.in.mnemonic == ZYDIS_MNEMONIC_BSF || insn.in.mnemonic == ZYDIS_MNEMONIC_BSR;
        reg.written = written;
        if (written) insn.written_gprs |= static_cast<u16>(1u << reg.reg);
        if (insn.operand_count == std::size(insn.regs)) return false;
        insn.regs[insn.operand_count++] = reg;
        break;
      }
      default:
        return false;
    }
  }
  return true;
}

/// A count that may be zero, which leaves flags alone.
bool may_keep_flags(const GuestInsn& insn) {
  if (!insn.reads_rcx && (insn.imm & (insn.in.operand_width == 64 ? 63 : 31)) != 0) return false;
  switch (insn.in.mnemonic) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
      return true;
    default:
      return false;
  }
}

void describe_flags(GuestInsn& insn) {
  const auto* flags = insn.in.cpu_flags;
  if (flags == nullptr) return;
  insn.flags_read = static_cast<u16>(flags->tested & rflags::kStatus);
  // Flags that the manuals leave undefined hold nothing that a program may rely on: they count as overwritten.
  if (!may_keep_flags(insn)) {
    insn.flags_killed =
        static_cast<u16>((flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & rflags::kStatus);
  }
}

bool is_control_state(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_STMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:
    case ZYDIS_MNEMONIC_VSTMXCSR:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_CVTPI2PS:
    case ZYDIS_MNEMONIC_CVTPI2PD:
      return true;
    default:
      return false;
  }
}

/// An instruction of a newer set, or of vectors, that may be copied in this mode.
bool is_plain_extension(interp::Cpu& cpu, Mode mode, const GuestInsn& insn) {
  const auto& in = insn.in;
  if (!cpu.host_exec->announced(in.meta.isa_set) || is_control_state(in.mnemonic)) return false;
  switch (in.meta.category) {
    case ZYDIS_CATEGORY_X87_ALU:
    case ZYDIS_CATEGORY_FCMOV:
    case ZYDIS_CATEGORY_MMX:
    case ZYDIS_CATEGORY_XSAVE:
    case ZYDIS_CATEGORY_XSAVEOPT:
    case ZYDIS_CATEGORY_GATHER:
    case ZYDIS_CATEGORY_AVX2GATHER:
    case ZYDIS_CATEGORY_SCATTER:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_STRINGOP:
    case ZYDIS_CATEGORY_FLAGOP:
      return false;
    default:
      break;
  }
  if (in.meta.isa_ext == ZYDIS_ISA_EXT_AVX512EVEX || in.meta.isa_ext == ZYDIS_ISA_EXT_AVX512VEX) {
    return mode.bits & Mode::Avx512;
  }
  switch (in.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
      if (insn.vector) return mode.bits & Mode::Sse;
      switch (in.mnemonic) {
        case ZYDIS_MNEMONIC_POPCNT:
        case ZYDIS_MNEMONIC_LZCNT:
        case ZYDIS_MNEMONIC_TZCNT:
        case ZYDIS_MNEMONIC_ADCX:
        case ZYDIS_MNEMONIC_ADOX:
        case ZYDIS_MNEMONIC_CRC32:
        case ZYDIS_MNEMONIC_MOVBE:
        case ZYDIS_MNEMONIC_RDRAND:
        case ZYDIS_MNEMONIC_RDSEED:
          return true;
        default:
          return false;
      }
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      return insn.vector || in.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER || in.mnemonic == ZYDIS_MNEMONIC_VZEROALL
                 ? (mode.bits & Mode::Avx) != 0
                 : true;
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
      return mode.bits & Mode::Avx512;
    default:
      return false;
  }
}

Kind control_kind(GuestInsn& insn) {
  const auto& in = insn.in;
  const auto& first = insn.operands[0];
  const bool near = in.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR || in.meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT;
  const bool direct = first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && first.imm.is_relative;
  // With a prefix for 16-bit operands AMD's processors lose the rest of RIP, unless REX.W overrides it.
  const bool wide = !(in.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) || in.raw.rex.W;
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
      if (!near || !wide) return Kind::HelperEnd;
      return direct ? Kind::Jump : Kind::JumpTo;
    case ZYDIS_MNEMONIC_CALL:
      if (!near || !wide) return Kind::HelperEnd;
      return direct ? Kind::Call : Kind::CallTo;
    case ZYDIS_MNEMONIC_RET:
      return near && wide ? Kind::Return : Kind::HelperEnd;
    default:
      return ends(in.mnemonic) || !wide ? Kind::HelperEnd : Kind::Branch;
  }
}

bool is_jcc(ZydisMnemonic mnemonic) {
  return mnemonic >= ZYDIS_MNEMONIC_JB && mnemonic <= ZYDIS_MNEMONIC_JZ && mnemonic != ZYDIS_MNEMONIC_JMP &&
         mnemonic != ZYDIS_MNEMONIC_JCXZ && mnemonic != ZYDIS_MNEMONIC_JECXZ && mnemonic != ZYDIS_MNEMONIC_JRCXZ &&
         mnemonic != ZYDIS_MNEMONIC_JKNZD && mnemonic != ZYDIS_MNEMONIC_JKZD;
}

/// Vector instructions of 32-bit code may set bits there that mean something in 64-bit code only.
bool same_in_64_bits(const GuestInsn& insn) {
  const auto& raw = insn.in.raw;
  const bool gpr = insn.operand_count != 0;
  if (insn.in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
    const u8* vex = insn.bytes + raw.vex.offset;
    if (vex[0] == 0xC5) return (vex[1] & 0xC0) == 0xC0;
    return (vex[1] & 0xE0) == 0xE0 && (vex[2] & 0x40) != 0 && !(gpr && (vex[2] & 0x80));
  }
  if (insn.in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) {
    const u8* evex = insn.bytes + raw.evex.offset;
    return (evex[1] & 0xF0) == 0xF0 && (evex[2] & 0x40) != 0 && (evex[3] & 8) != 0 && !(gpr && (evex[2] & 0x80));
  }
  return insn.in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
}

Kind string_kind(Mode mode, GuestInsn& insn) {
  const auto& in = insn.in;
  if (in.meta.category != ZYDIS_CATEGORY_STRINGOP || !(in.attributes & ZYDIS_ATTRIB_HAS_REP) || mode.code32() ||
      (mode.bits & Mode::Df) || in.address_width != 64 || (in.attributes & ZYDIS_ATTRIB_HAS_SEGMENT))
    return Kind::Helper;
  const bool moves = in.mnemonic == ZYDIS_MNEMONIC_MOVSB || in.mnemonic == ZYDIS_MNEMONIC_MOVSW ||
                     in.mnemonic == ZYDIS_MNEMONIC_MOVSD || in.mnemonic == ZYDIS_MNEMONIC_MOVSQ;
  const auto size = static_cast<u8>(insn.operands[0].size / 8);
  insn.mem = {.present = true, .written = true, .base = RDI, .size = size};
  insn.written_gprs = 1u << RCX | 1u << RDI;
  if (moves) {
    insn.source = {.present = true, .read = true, .base = RSI, .size = size};
    insn.written_gprs |= 1u << RSI;
  }
  return Kind::Strings;
}

/// Of the system instructions those that need no C++, or seldom; and of the string instructions. Helper: not one of
/// them.
Kind system_kind(Mode mode, GuestInsn& insn) {
  const auto& in = insn.in;
  const bool kernel64 = !mode.user() && !mode.code32();
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_SWAPGS:
      return kernel64 ? Kind::SwapGs : Kind::Helper;
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDTSCP:
      insn.written_gprs = 1u << RAX | 1u << RDX | (in.mnemonic == ZYDIS_MNEMONIC_RDTSCP ? 1u << RCX : 0u);
      return Kind::ReadTsc;
    case ZYDIS_MNEMONIC_SYSCALL:
      return mode.user() && !mode.code32() ? Kind::Cross : Kind::Helper;
    case ZYDIS_MNEMONIC_SYSRET:
      return kernel64 && in.operand_width == 64 ? Kind::Cross : Kind::Helper;
    case ZYDIS_MNEMONIC_STAC:
      return kernel64 && !(mode.bits & Mode::SupervisorUserAccess) ? Kind::Cross : Kind::Helper;
    case ZYDIS_MNEMONIC_CLAC:
      return kernel64 && (mode.bits & Mode::SupervisorUserAccess) ? Kind::Cross : Kind::Helper;
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_MOVSQ:
      return string_kind(mode, insn);
    case ZYDIS_MNEMONIC_MOV: {
      const auto& to = insn.operands[0];
      const auto& from = insn.operands[1];
      if (from.type != ZYDIS_OPERAND_TYPE_REGISTER || ZydisRegisterGetClass(from.reg.value) != ZYDIS_REGCLASS_SEGMENT ||
          to.type != ZYDIS_OPERAND_TYPE_REGISTER || in.operand_width == 16)
        return Kind::Helper;
      insn.imm = from.reg.value - ZYDIS_REGISTER_ES;
      insn.regs[insn.operand_count++] = {.place = RegOperand::ModrmRm,
                                         .reg = gpr_of(to.reg.value).reg,
                                         .size = insn.width,
                                         .high = false,
                                         .read = false,
                                         .written = true};
      insn.written_gprs = static_cast<u16>(1u << insn.regs[0].reg);
      return Kind::ReadSegment;
    }
    default:
      return Kind::Helper;
  }
}

Kind kind_of(interp::Cpu& cpu, Mode mode, GuestInsn& insn) {
  const auto& in = insn.in;
  const Kind rest = ends(in.mnemonic) ? Kind::HelperEnd : Kind::Helper;
  if (is_jcc(in.mnemonic) || in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL ||
      in.mnemonic == ZYDIS_MNEMONIC_RET) {
    const Kind kind = control_kind(insn);
    if (kind == Kind::Jump || kind == Kind::Branch || kind == Kind::Call) {
      insn.target = insn.next_rip() + insn.operands[0].imm.value.u;
      if (insn.code32()) insn.target = static_cast<u32>(insn.target);
    } else if (kind == Kind::JumpTo || kind == Kind::CallTo) {
      const auto& operand = insn.operands[0];
      if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
        if (!describe_memory(operand, insn, insn.mem)) return Kind::HelperEnd;
      } else {
        insn.regs[insn.operand_count++] = {.place = RegOperand::ModrmRm,
                                           .reg = gpr_of(operand.reg.value).reg,
                                           .size = insn.width,
                                           .high = false,
                                           .read = true,
                                           .written = false};
      }
    } else if (kind == Kind::Return) {
      insn.imm = insn.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
                         insn.operands[0].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT
                     ? static_cast<i64>(insn.operands[0].imm.value.u)
                     : 0;
    }
    return kind;
  }
  if (is_hint(in)) return Kind::Nothing;
  if (in.mnemonic == ZYDIS_MNEMONIC_CLI) return mode.user() ? Kind::Helper : Kind::Cli;
  if (in.mnemonic == ZYDIS_MNEMONIC_STI) return mode.user() ? Kind::HelperEnd : Kind::Sti;
  if (const Kind kind = system_kind(mode, insn); kind != Kind::Helper) return kind;
  if (in.mnemonic == (insn.code32() ? ZYDIS_MNEMONIC_PUSHFD : ZYDIS_MNEMONIC_PUSHFQ)) return Kind::PushFlags;
  if (in.mnemonic == ZYDIS_MNEMONIC_LEAVE) return in.operand_width == insn.width * 8 ? Kind::Leave : Kind::Helper;
  if (in.mnemonic == ZYDIS_MNEMONIC_PUSH || in.mnemonic == ZYDIS_MNEMONIC_POP) {
    const auto& operand = insn.operands[0];
    if (in.operand_width != insn.width * 8) return Kind::Helper;
    const bool push = in.mnemonic == ZYDIS_MNEMONIC_PUSH;
    if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && push) {
      insn.imm = operand.imm.is_signed ? operand.imm.value.s : static_cast<i64>(operand.imm.value.u);
      return Kind::Push;
    }
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && push) {
      return describe_memory(operand, insn, insn.mem) ? Kind::Push : Kind::Helper;
    }
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER || !is_gpr(ZydisRegisterGetClass(operand.reg.value)))
      return Kind::Helper;
    const u8 reg = gpr_of(operand.reg.value).reg;
    insn.regs[insn.operand_count++] = {
        .place = RegOperand::Opcode, .reg = reg, .size = insn.width, .high = false, .read = push, .written = !push};
    return push ? Kind::Push : Kind::Pop;
  }
  if (!describe_operands(insn)) return rest;
  if (rest == Kind::HelperEnd) return rest;
  if (in.mnemonic == ZYDIS_MNEMONIC_LEA) return Kind::Lea;
  if (in.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) {
    if (in.mnemonic != ZYDIS_MNEMONIC_PAUSE) return rest;
  }
  const bool double_width = in.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B || in.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B;
  if (double_width) insn.reads_rcx = true;
  if (has_hidden_register(insn, (insn.reads_rcx ? 0u : 1u << RCX) | 1u << RSP | 1u << R10 | 1u << R11 | 1u << R15))
    return rest;
  bool plain = is_plain_integer(in.mnemonic) || is_plain_extension(cpu, mode, insn);
  if (is_bit_test(in.mnemonic)) {
    const bool bit_string = insn.mem.present && insn.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
    plain = !bit_string;
  }
  // Offsets from memory without ModRM. In 32-bit code they are common, and MOV has the same with ModRM.
  if (insn.mem.present && !(in.attributes & ZYDIS_ATTRIB_HAS_MODRM) && !(insn.code32() && is_moffs(in))) plain = false;
  if (insn.code32() && !same_in_64_bits(insn)) plain = false;
  if (insn.vector && !is_plain_extension(cpu, mode, insn)) plain = false;
  if (in.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER || in.mnemonic == ZYDIS_MNEMONIC_VZEROALL) insn.vector = true;
  return plain ? Kind::Plain : rest;
}

}  // namespace

bool describe(interp::Cpu& cpu, Mode mode, u64 rip, const u8* bytes, unsigned available, GuestInsn& insn) {
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder(mode.code32()), bytes, available, &insn.in, insn.operands)))
    return false;
  insn.width = mode.code32() ? 4 : 8;
  insn.length = insn.in.length;
  std::memcpy(insn.bytes, bytes, insn.length);
  insn.rip = rip;
  insn.reads_rcx = insn.vector = false;
  insn.operand_count = 0;
  for (auto& reg : insn.regs) reg = {};
  insn.mem = insn.source = {};
  insn.written_gprs = insn.flags_read = insn.flags_killed = 0;
  insn.target = 0;
  insn.imm = 0;
  insn.kind = kind_of(cpu, mode, insn);
  switch (insn.kind) {
    case Kind::Helper:
    case Kind::HelperEnd:
      insn.written_gprs = 0xFFFF;
      insn.flags_read = static_cast<u16>(rflags::kStatus);
      insn.vector = false;
      break;
    case Kind::Plain:
    case Kind::Branch:
      describe_flags(insn);
      break;
    case Kind::PushFlags:
      insn.flags_read = static_cast<u16>(rflags::kStatus);
      break;
    case Kind::Cross:
      (insn.in.mnemonic == ZYDIS_MNEMONIC_SYSRET ? insn.flags_killed : insn.flags_read) =
          static_cast<u16>(rflags::kStatus);
      break;
    default:
      break;
  }
  return true;
}

}  // namespace vireo::cpu::translate
