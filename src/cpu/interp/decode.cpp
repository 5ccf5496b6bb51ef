#include "cpu/interp/decode.h"

#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

struct Row {
  ZydisMnemonic mnemonic;
  Selector selector;
};

constexpr Row kRows[] = {
#define X(mnemonic, family) {ZYDIS_MNEMONIC_##mnemonic, select_##family},
#include "cpu/interp/instructions.inc"
#undef X
};

struct Selectors {
  std::array<Selector, ZYDIS_MNEMONIC_MAX_VALUE + 1> by_mnemonic;
  constexpr Selectors() : by_mnemonic{} {
    for (auto& selector : by_mnemonic) selector = select_host;
    for (const Row& row : kRows) by_mnemonic[row.mnemonic] = row.selector;
  }
};
constexpr Selectors kSelectors;

/// One decoder a mode. Features that CPUID does not announce and whose encodings are no-ops without them are switched
/// off.
const ZydisDecoder& decoder(CodeMode mode) {
  static const auto decoders = [] {
    std::array<ZydisDecoder, 3> made;
    ZydisDecoderInit(&made[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&made[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&made[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (auto& one : made) {
      ZydisDecoderEnableMode(&one, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
      for (auto mode_off :
           {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_CLDEMOTE, ZYDIS_DECODER_MODE_WBNOINVD}) {
        ZydisDecoderEnableMode(&one, mode_off, ZYAN_FALSE);
      }
    }
    return made;
  }();
  return decoders[raw(mode)];
}

void raise_undefined(Cpu& cpu, const Insn& insn) { cpu.undefined(insn); }

unsigned log2_of(unsigned scale) { return scale == 8 ? 3 : scale == 4 ? 2 : scale == 2 ? 1 : 0; }

void fill_memory(const ZydisDecodedOperand& operand, Insn& insn) {
  const auto& mem = operand.mem;
  insn.has_mem = true;
  insn.base = slot_of(mem.base);
  insn.index = slot_of(mem.index);
  insn.scale = static_cast<u8>(log2_of(mem.scale));
  insn.disp = static_cast<i32>(mem.disp.value);
  insn.seg = mem.segment >= ZYDIS_REGISTER_ES && mem.segment <= ZYDIS_REGISTER_GS
                 ? static_cast<u8>(mem.segment - ZYDIS_REGISTER_ES)
                 : static_cast<u8>(DS);
}

void fill_common(const DecodedInsn& decoded, Insn& insn) {
  const auto& in = decoded.instruction;
  insn.mnemonic = static_cast<u16>(in.mnemonic);
  insn.length = in.length;
  insn.op_size = static_cast<u8>(in.operand_width / 8);
  insn.addr_size = static_cast<u8>(in.address_width / 8);
  insn.lock = (in.attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0;
  if (in.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) insn.rep = 0xF3;
  if (in.attributes & ZYDIS_ATTRIB_HAS_REPNE) insn.rep = 0xF2;
  insn.modrm_reg = static_cast<u8>(in.raw.modrm.reg | (in.raw.rex.R << 3));
  insn.rex_w = in.raw.rex.W;
  for (unsigned i = 0; i < in.operand_count; ++i) {
    const auto& operand = decoded.operands[i];
    if (operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN) continue;
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && !insn.has_mem) fill_memory(operand, insn);
    if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && insn.imm == 0) insn.imm = operand.imm.value.u;
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER) {
      if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) {
        insn.rm = slot_of(operand.reg.value);
      } else if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG ||
                 operand.encoding == ZYDIS_OPERAND_ENCODING_OPCODE) {
        insn.reg = slot_of(operand.reg.value);
      }
    }
  }
}

}  // namespace

RegSlot slot_of(ZydisRegister reg) {
  if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15B) {
    const unsigned id = static_cast<unsigned>(ZydisRegisterGetId(reg));  // AL..BL, AH..BH, SPL..DIL, R8B..R15B
    if (id < 4) return static_cast<RegSlot>(id * 8);
    if (id < 8) return static_cast<RegSlot>((id - 4) * 8 + 1);
    return static_cast<RegSlot>((id - 4) * 8);
  }
  switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
      return static_cast<RegSlot>(ZydisRegisterGetId(reg) * 8);
    case ZYDIS_REGCLASS_IP:
      return kRipSlot;
    default:
      return kZeroSlot;
  }
}

DecodeStatus decode(Cpu& cpu, CodeMode mode, std::span<const u8> bytes, Insn& insn) {
  DecodedInsn decoded;
  decoded.bytes = bytes.data();
  decoded.mode = mode;
  const ZyanStatus status =
      ZydisDecoderDecodeFull(&decoder(mode), bytes.data(), bytes.size(), &decoded.instruction, decoded.operands);
  if (status == ZYDIS_STATUS_NO_MORE_DATA) return bytes.size() >= 15 ? DecodeStatus::TooLong : DecodeStatus::NeedBytes;
  if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG) return DecodeStatus::TooLong;
  insn = {};
  if (!ZYAN_SUCCESS(status)) {
    insn.mnemonic = ZYDIS_MNEMONIC_INVALID;
    insn.length = static_cast<u8>(std::min<std::size_t>(bytes.size(), 15));
    insn.handler = raise_undefined;
    return DecodeStatus::Ok;
  }
  fill_common(decoded, insn);
  const Insn common = insn;
  insn.handler = kSelectors.by_mnemonic[decoded.instruction.mnemonic](cpu, decoded, insn);
  if (insn.handler == nullptr) {
    insn = common;
    insn.handler = raise_undefined;
  }
  return DecodeStatus::Ok;
}

bool ends_block(const Insn& insn) {
  switch (insn.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_RET:
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
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
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_INVALID:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
      return true;
    default:
      break;
  }
  return insn.mnemonic >= ZYDIS_MNEMONIC_JB && insn.mnemonic <= ZYDIS_MNEMONIC_JZ;
}

}  // namespace vireo::cpu::interp
