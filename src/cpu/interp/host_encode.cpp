#include "cpu/interp/host_encode.h"

namespace vireo::cpu::interp {

namespace {

using vm::x86::Gpr;

bool is_general(ZydisRegister reg) {
  switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
      return true;
    default:
      return false;
  }
}

unsigned general_number(ZydisRegister reg) {
  if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) return reg - ZYDIS_REGISTER_AH;
  return static_cast<unsigned>(ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg)));
}

bool is_vector(ZydisRegister reg) {
  const auto cls = ZydisRegisterGetClass(reg);
  return cls == ZYDIS_REGCLASS_XMM || cls == ZYDIS_REGCLASS_YMM || cls == ZYDIS_REGCLASS_ZMM;
}

unsigned immediate_size(const ZydisDecodedInstruction& instruction) {
  return (instruction.raw.imm[0].size + instruction.raw.imm[1].size) / 8u;
}

/// These scale with the operand size, whose prefix means the opposite in 16-bit code.
bool operand_size_matters(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_CRC32:
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_TZCNT:
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
      return true;
    default:
      return false;
  }
}

/// VEX.W and EVEX.W say nothing outside 64-bit mode where it would select a 64-bit general register or memory operand.
bool w_is_ignored(const DecodedInsn& decoded) {
  if (decoded.mode == CodeMode::Bits64) return false;
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {
    const auto& operand = decoded.operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && is_general(operand.reg.value)) return true;
  }
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VPINSRD:
    case ZYDIS_MNEMONIC_VPEXTRD:
    case ZYDIS_MNEMONIC_VCVTSI2SS:
    case ZYDIS_MNEMONIC_VCVTSI2SD:
    case ZYDIS_MNEMONIC_VCVTUSI2SS:
    case ZYDIS_MNEMONIC_VCVTUSI2SD:
      return true;
    default:
      return false;
  }
}

bool names_rsp(const DecodedInsn& decoded, ZydisOperandEncoding encoding) {
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {
    const auto& operand = decoded.operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && operand.encoding == encoding && is_general(operand.reg.value) &&
        general_number(operand.reg.value) == Gpr::RSP) {
      return true;
    }
  }
  return false;
}

/// The immediate's upper half is a register number, of three bits outside 64-bit mode.
bool has_is4(const DecodedInsn& decoded) {
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {
    if (decoded.operands[i].encoding == ZYDIS_OPERAND_ENCODING_IS4) return true;
  }
  return false;
}

constexpr unsigned kNone = 0xFF;

unsigned first_free(u16 used, std::initializer_list<u8> candidates) {
  for (u8 candidate : candidates) {
    if (!(used & bit(candidate))) return candidate;
  }
  return kNone;
}

u8 rewrite_modrm(const DecodedInsn& decoded, const HostRegs& regs) {
  const auto& modrm = decoded.instruction.raw.modrm;
  unsigned reg = modrm.reg & 7u;
  unsigned rm = modrm.rm & 7u;
  if (names_rsp(decoded, ZYDIS_OPERAND_ENCODING_MODRM_REG)) reg = regs.rsp_as;
  if (modrm.mod != 3) return static_cast<u8>(reg << 3 | regs.memory);
  if (names_rsp(decoded, ZYDIS_OPERAND_ENCODING_MODRM_RM)) rm = regs.rsp_as;
  return static_cast<u8>(0xC0 | reg << 3 | rm);
}

}  // namespace

bool assign_registers(const DecodedInsn& decoded, HostRegs& regs) {
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {
    const auto& operand = decoded.operands[i];
    const bool written = operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
      if (operand.mem.type != ZYDIS_MEMOP_TYPE_MEM || operand.encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM) return false;
      if (operand.size == 0 || operand.size > 64 * 8) return false;
      regs.memory_size = static_cast<u8>(operand.size / 8);
      regs.memory_written = written;
      regs.memory_read = operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ;
    } else if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
      const auto reg = operand.reg.value;
      if (is_general(reg)) {
        const auto mask = static_cast<u16>(bit(general_number(reg)));
        regs.gpr_used |= mask;
        if (written) regs.gpr_written |= mask;
      } else if (is_vector(reg)) {
        const auto number = static_cast<unsigned>(ZydisRegisterGetId(reg));
        regs.vector_used |= static_cast<u32>(bit(number));
        if (written) regs.vector_written |= static_cast<u32>(bit(number));
      } else if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_MASK) {
        const auto mask = static_cast<u8>(bit(static_cast<unsigned>(ZydisRegisterGetId(reg))));
        if (operand.encoding == ZYDIS_OPERAND_ENCODING_MASK && mask == 1) continue;  // k0 there: no mask
        regs.opmask_used |= mask;
        if (written) regs.opmask_written |= mask;
      } else if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_MMX) {
        regs.mmx = true;
      }
    }
  }
  // Both are among the low eight, so that the instruction's REX and VEX bits for them stay 0.
  u16 used = regs.gpr_used;
  if (used & bit(Gpr::RSP)) {
    regs.rsp_as = static_cast<u8>(first_free(used, {5, 3, 6, 7}));
    used |= static_cast<u16>(bit(regs.rsp_as & 15));
  }
  regs.memory = static_cast<u8>(first_free(used, {7, 6, 0, 1, 2}));
  regs.context = static_cast<u8>(first_free(used, {11, 10, 9, 8}));
  return regs.memory != kNone && regs.context != kNone && regs.rsp_as != kNone;
}

HostBytes rewrite(const DecodedInsn& decoded, const HostRegs& regs) {
  const auto& instruction = decoded.instruction;
  const bool code64 = decoded.mode == CodeMode::Bits64;
  const bool memory = regs.memory_size != 0;
  const bool fix_size = decoded.mode == CodeMode::Bits16 && operand_size_matters(instruction.mnemonic);
  HostBytes out;
  if (fix_size && instruction.operand_width == 16) out.add(0x66);

  unsigned at = 0;
  unsigned rex = 0;
  for (;; ++at) {
    const u8 byte = decoded.bytes[at];
    if (byte == 0x66 || byte == 0xF2 || byte == 0xF3) {
      if (!(byte == 0x66 && fix_size)) out.add(byte);
      rex = 0;
    } else if (byte == 0x2E || byte == 0x36 || byte == 0x3E || byte == 0x26 || byte == 0x64 || byte == 0x65 ||
               byte == 0x67) {
      rex = 0;
    } else if (code64 && (byte & 0xF0) == 0x40) {
      rex = byte;  // of no effect unless the opcode follows
    } else {
      break;
    }
  }

  if (instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
    const bool long_form = decoded.bytes[at] == 0xC4;
    out.add(decoded.bytes[at++]);
    unsigned last = decoded.bytes[at++];
    if (long_form) {
      unsigned first = last;  // ~R ~X ~B mmmmm
      last = decoded.bytes[at++];
      if (memory) first |= 0x60;
      if (!code64) first |= 0xE0;
      if (w_is_ignored(decoded)) last &= 0x7F;
      out.add(first);
    }
    if (!code64) last |= 0x40;  // vvvv has three bits there
    if (names_rsp(decoded, ZYDIS_OPERAND_ENCODING_NDSNDD)) last = (last & ~0x78u) | ((~regs.rsp_as & 15u) << 3);
    out.add(last);
  } else if (instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) {
    out.add(decoded.bytes[at++]);
    unsigned first = decoded.bytes[at++];   // ~R ~X ~B ~R' 0 mmm
    unsigned second = decoded.bytes[at++];  // W ~vvvv 1 pp
    unsigned third = decoded.bytes[at++];   // z L'L b ~V' aaa
    if (memory) first |= 0x60;
    if (!code64) first |= 0xF0, second |= 0x40, third |= 0x08;  // register numbers have three bits there
    if (w_is_ignored(decoded)) second &= 0x7F;
    out.add(first);
    out.add(second);
    out.add(third);
  } else if (rex != 0) {
    if (memory) rex &= ~3u;
    out.add(rex);
  }

  const unsigned tail = instruction.length - immediate_size(instruction);
  const bool has_modrm = instruction.attributes & ZYDIS_ATTRIB_HAS_MODRM;
  const unsigned opcode_end = has_modrm ? instruction.raw.modrm.offset : tail;
  while (at < opcode_end) out.add(decoded.bytes[at++]);
  if (has_modrm) out.add(rewrite_modrm(decoded, regs));
  for (unsigned i = tail; i < instruction.length; ++i) {
    out.add(decoded.bytes[i] & (!code64 && has_is4(decoded) ? 0x7Fu : 0xFFu));
  }
  return out;
}

}  // namespace vireo::cpu::interp
