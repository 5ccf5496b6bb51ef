// What an instruction needs and touches beyond its operands: facts that Zydis does not tell, or not exactly.
#include <algorithm>

#include "cpu/interp/host_exec.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

bool is_x87(const ZydisDecodedInstruction& instruction) {
  return instruction.meta.category == ZYDIS_CATEGORY_X87_ALU || instruction.meta.category == ZYDIS_CATEGORY_FCMOV;
}

/// Legacy SSE memory operands of 16 bytes are aligned, with these exceptions (SDM 2A 2.4, type 4 note). SHA is among
/// them as on AMD's processors: what Intel's refuse, no program depends on.
bool may_be_unaligned(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM:
    case ZYDIS_MNEMONIC_SHA1MSG1:
    case ZYDIS_MNEMONIC_SHA1MSG2:
    case ZYDIS_MNEMONIC_SHA1NEXTE:
    case ZYDIS_MNEMONIC_SHA1RNDS4:
    case ZYDIS_MNEMONIC_SHA256MSG1:
    case ZYDIS_MNEMONIC_SHA256MSG2:
    case ZYDIS_MNEMONIC_SHA256RNDS2:
      return true;
    default:
      return false;
  }
}

bool is_aligned_vex(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVDQA32:
    case ZYDIS_MNEMONIC_VMOVDQA64:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
      return true;
    default:
      return false;
  }
}

u8 alignment_of(const DecodedInsn& decoded, const HostRegs& regs) {
  if (regs.memory_size < 16) return 1;
  const auto mnemonic = decoded.instruction.mnemonic;
  if (decoded.instruction.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
    return is_aligned_vex(mnemonic) ? regs.memory_size : u8{1};
  }
  return may_be_unaligned(mnemonic) ? u8{1} : u8{16};
}

/// The types of exceptions of EVEX instructions that include those of floating point.
bool has_simd_exceptions(ZydisExceptionClass type) {
  switch (type) {
    case ZYDIS_EXCEPTION_CLASS_E2:
    case ZYDIS_EXCEPTION_CLASS_E2NF:
    case ZYDIS_EXCEPTION_CLASS_E3:
    case ZYDIS_EXCEPTION_CLASS_E3NF:
    case ZYDIS_EXCEPTION_CLASS_E11:
    case ZYDIS_EXCEPTION_CLASS_E11NF:
      return true;
    default:
      return false;
  }
}

/// Reads or sets MXCSR: any floating-point operand, moves and bitwise logic apart.
bool uses_mxcsr(const DecodedInsn& decoded) {
  if (has_simd_exceptions(decoded.instruction.meta.exception_class)) return true;
  switch (decoded.instruction.meta.category) {
    case ZYDIS_CATEGORY_CONVERT:
      return true;
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_LOGICAL_FP:
    case ZYDIS_CATEGORY_BROADCAST:
      return false;
    default:
      break;
  }
  switch (decoded.instruction.mnemonic) {  // their operands count as integers
    case ZYDIS_MNEMONIC_ROUNDSS:
    case ZYDIS_MNEMONIC_ROUNDSD:
    case ZYDIS_MNEMONIC_ROUNDPS:
    case ZYDIS_MNEMONIC_ROUNDPD:
    case ZYDIS_MNEMONIC_VROUNDSS:
    case ZYDIS_MNEMONIC_VROUNDSD:
    case ZYDIS_MNEMONIC_VROUNDPS:
    case ZYDIS_MNEMONIC_VROUNDPD:
      return true;
    default:
      break;
  }
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {
    switch (decoded.operands[i].element_type) {
      case ZYDIS_ELEMENT_TYPE_FLOAT16:
      case ZYDIS_ELEMENT_TYPE_FLOAT32:
      case ZYDIS_ELEMENT_TYPE_FLOAT64:
        return true;
      default:
        break;
    }
  }
  return false;
}

bool uses_flags(const ZydisDecodedInstruction& instruction) {
  const auto* flags = instruction.cpu_flags;
  return flags != nullptr &&
         ((flags->tested | flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & rflags::kStatus) != 0;
}

/// FNOP's relatives that were coprocessor control on the 8087 and 287.
bool is_x87_control_nop(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_FENI8087_NOP || mnemonic == ZYDIS_MNEMONIC_FDISI8087_NOP ||
         mnemonic == ZYDIS_MNEMONIC_FSETPM287_NOP;
}

u8 needs_of(const DecodedInsn& decoded, const HostRegs& regs) {
  const auto& instruction = decoded.instruction;
  if (is_x87_control_nop(instruction.mnemonic)) return needs::X87;
  if (is_x87(instruction)) return needs::X87 | needs::NoPendingX87;
  if (instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX || regs.opmask_used != 0) return needs::Avx512;
  const bool vector = regs.vector_used != 0 || uses_mxcsr(decoded);
  if (instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) return vector ? needs::Avx : needs::Protected;
  u8 need = 0;
  if (vector) need |= needs::Sse;
  if (regs.mmx) need |= needs::Mmx | needs::NoPendingX87;
  return need;
}

/// Their elements do not go by the mask's bits one by one.
bool has_no_elements(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_VDBPSADBW || mnemonic == ZYDIS_MNEMONIC_VGF2P8AFFINEQB ||
         mnemonic == ZYDIS_MNEMONIC_VGF2P8AFFINEINVQB || mnemonic == ZYDIS_MNEMONIC_VCVTNE2PS2BF16;
}

/// The types of exceptions of EVEX instructions that leave out what the mask does not choose (SDM 2A 2.8); not so NF.
bool suppresses_faults(ZydisExceptionClass type) {
  switch (type) {
    case ZYDIS_EXCEPTION_CLASS_E1:
    case ZYDIS_EXCEPTION_CLASS_E2:
    case ZYDIS_EXCEPTION_CLASS_E3:
    case ZYDIS_EXCEPTION_CLASS_E4:
    case ZYDIS_EXCEPTION_CLASS_E5:
    case ZYDIS_EXCEPTION_CLASS_E6:
    case ZYDIS_EXCEPTION_CLASS_E10:
    case ZYDIS_EXCEPTION_CLASS_E11:
      return true;
    default:
      return false;
  }
}

bool is_scalar(ZydisISASet set) { return set == ZYDIS_ISA_SET_AVX512F_SCALAR || set == ZYDIS_ISA_SET_AVX512DQ_SCALAR; }

/// How an EVEX mask chooses the elements of the memory operand.
void choose_elements(const DecodedInsn& decoded, HostInsn& form) {
  const auto& instruction = decoded.instruction;
  const auto mask = instruction.avx.mask.reg;
  if (instruction.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX || form.memory_size == 0) return;
  if (mask == ZYDIS_REGISTER_NONE || mask == ZYDIS_REGISTER_K0) return;
  const bool suppresses = suppresses_faults(instruction.meta.exception_class) && !has_no_elements(instruction.mnemonic);
  if (!suppresses && !form.memory_written) return;
  const ZydisDecodedOperand* memory = decoded.operands;
  while (memory->type != ZYDIS_OPERAND_TYPE_MEMORY) ++memory;
  form.mask = static_cast<u8>(ZydisRegisterGetId(mask));
  form.element_size = static_cast<u8>(memory->element_size / 8);
  form.elements = static_cast<u8>(memory->element_count);
  form.lanes = form.elements;
  form.whole = !suppresses;
  form.packed =
      instruction.meta.category == ZYDIS_CATEGORY_COMPRESS || instruction.meta.category == ZYDIS_CATEGORY_EXPAND;
  const auto& broadcast = instruction.avx.broadcast;
  if (broadcast.mode == ZYDIS_BROADCAST_MODE_INVALID || is_scalar(instruction.meta.isa_set)) return;
  const unsigned results = decoded.operands[0].element_count;
  const unsigned sources = instruction.avx.vector_length / memory->element_size;
  const bool to_mask = ZydisRegisterGetClass(decoded.operands[0].reg.value) == ZYDIS_REGCLASS_MASK;
  form.lanes = static_cast<u8>(to_mask ? sources : std::min(results, sources));
}

/// CVTPI2PS and CVTPI2PD switch to MMX, or not, even with a memory operand: the host knows.
bool converts_mmx(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_CVTPI2PS || mnemonic == ZYDIS_MNEMONIC_CVTPI2PD;
}

}  // namespace

bool plan_stub(const DecodedInsn& decoded, StubPlan& plan) {
  const auto& instruction = decoded.instruction;
  if (!assign_registers(decoded, plan.regs)) return false;
  if (instruction.mnemonic == ZYDIS_MNEMONIC_EMMS) plan.regs.mmx = true;
  const bool x87_instruction = is_x87(instruction);
  plan.instruction = rewrite(decoded, plan.regs);
  plan.evex = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX;
  plan.vex = plan.evex || instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
  plan.flags = uses_flags(instruction);
  plan.x87 = x87_instruction || plan.regs.mmx || converts_mmx(instruction.mnemonic);
  plan.mxcsr = !x87_instruction && uses_mxcsr(decoded);
  return true;
}

HostInsn make_form(const DecodedInsn& decoded, const StubPlan& plan) {
  HostInsn form;
  form.need = needs_of(decoded, plan.regs);
  form.memory_size = plan.regs.memory_size;
  form.memory_read = plan.regs.memory_read;
  form.memory_written = plan.regs.memory_written;
  form.alignment = alignment_of(decoded, plan.regs);
  choose_elements(decoded, form);
  form.flags = plan.flags;
  form.x87 = plan.x87;
  form.x87_pointers = is_x87(decoded.instruction) && !is_x87_control_nop(decoded.instruction.mnemonic);
  return form;
}

}  // namespace vireo::cpu::interp
