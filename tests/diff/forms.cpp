#include "forms.h"

#include <array>

#include "base/bits.h"
#include "cpu/interp/host_isa.h"

namespace vireo::diff {

namespace {

constexpr std::string_view kNames[] = {"integer", "shift",       "bits",  "muldiv", "string",    "stack",
                                       "branch",  "conditional", "x87",   "mmx",    "sse",       "avx",
                                       "avx2",    "fma",         "bmi",   "crypto", "masked",    "opmask",
                                       "evex",    "evex-packed", "state", "lock",   "privileged"};
static_assert(std::size(kNames) == static_cast<unsigned>(Class::kCount));

/// Results depend on the host, its kernel or time, or running them would leave the sandbox.
bool is_incomparable(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSENTER:
    case ZYDIS_MNEMONIC_SYSRET:
    case ZYDIS_MNEMONIC_SYSEXIT:
    case ZYDIS_MNEMONIC_INT:
    case ZYDIS_MNEMONIC_INT1:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_RDTSC:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_LFS:
    case ZYDIS_MNEMONIC_LGS:
    case ZYDIS_MNEMONIC_LSS:
    case ZYDIS_MNEMONIC_LDS:
    case ZYDIS_MNEMONIC_LES:
    case ZYDIS_MNEMONIC_SGDT:
    case ZYDIS_MNEMONIC_SIDT:
    case ZYDIS_MNEMONIC_SLDT:
    case ZYDIS_MNEMONIC_STR:
    case ZYDIS_MNEMONIC_SMSW:
    case ZYDIS_MNEMONIC_LAR:
    case ZYDIS_MNEMONIC_LSL:
    case ZYDIS_MNEMONIC_VERR:
    case ZYDIS_MNEMONIC_VERW:
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_UD0:  // with or without ModRM, which shows at a page's end
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_XGETBV:
    case ZYDIS_MNEMONIC_FXSAVE:  // the state class makes these itself
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
    case ZYDIS_MNEMONIC_XSAVES:
    case ZYDIS_MNEMONIC_XSAVES64:
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64:
      return true;
    default:
      return false;
  }
}

/// #GP(0) at CPL 3, whatever the operands.
bool is_privileged(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_IN:
    case ZYDIS_MNEMONIC_OUT:
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
    case ZYDIS_MNEMONIC_LGDT:
    case ZYDIS_MNEMONIC_LIDT:
    case ZYDIS_MNEMONIC_LLDT:
    case ZYDIS_MNEMONIC_LTR:
    case ZYDIS_MNEMONIC_LMSW:
    case ZYDIS_MNEMONIC_CLTS:
    case ZYDIS_MNEMONIC_INVLPG:
    case ZYDIS_MNEMONIC_INVD:
    case ZYDIS_MNEMONIC_WBINVD:
    case ZYDIS_MNEMONIC_RDMSR:
    case ZYDIS_MNEMONIC_WRMSR:
    case ZYDIS_MNEMONIC_UD2:
      return true;
    default:
      return false;
  }
}

bool is_base_set(ZydisISASet set) {
  switch (set) {
    case ZYDIS_ISA_SET_I86:
    case ZYDIS_ISA_SET_I186:
    case ZYDIS_ISA_SET_I286REAL:
    case ZYDIS_ISA_SET_I286PROTECTED:
    case ZYDIS_ISA_SET_I386:
    case ZYDIS_ISA_SET_I486:
    case ZYDIS_ISA_SET_I486REAL:
    case ZYDIS_ISA_SET_PENTIUMREAL:
    case ZYDIS_ISA_SET_PPRO:
    case ZYDIS_ISA_SET_CMOV:
    case ZYDIS_ISA_SET_CMPXCHG16B:
    case ZYDIS_ISA_SET_FAT_NOP:
    case ZYDIS_ISA_SET_PREFETCH_NOP:
    case ZYDIS_ISA_SET_LAHF:
    case ZYDIS_ISA_SET_LONGMODE:
    case ZYDIS_ISA_SET_MOVBE:
    case ZYDIS_ISA_SET_PAUSE:
      return true;
    default:
      return false;
  }
}

Class class_of_set(ZydisISASet set) {
  switch (set) {
    case ZYDIS_ISA_SET_X87:
    case ZYDIS_ISA_SET_FCMOV:
    case ZYDIS_ISA_SET_SSE3X87:
      return Class::X87;
    case ZYDIS_ISA_SET_PENTIUMMMX:
    case ZYDIS_ISA_SET_SSE2MMX:
    case ZYDIS_ISA_SET_SSSE3MMX:
      return Class::Mmx;
    case ZYDIS_ISA_SET_AVX:
    case ZYDIS_ISA_SET_F16C:
      return Class::Avx;
    case ZYDIS_ISA_SET_AVX2:
      return Class::Avx2;
    case ZYDIS_ISA_SET_AVX2GATHER:
      return Class::Masked;
    case ZYDIS_ISA_SET_FMA:
      return Class::Fma;
    case ZYDIS_ISA_SET_BMI1:
    case ZYDIS_ISA_SET_BMI2:
    case ZYDIS_ISA_SET_LZCNT:
    case ZYDIS_ISA_SET_POPCNT:
    case ZYDIS_ISA_SET_ADOX_ADCX:
      return Class::Bmi;
    case ZYDIS_ISA_SET_AES:
    case ZYDIS_ISA_SET_AVXAES:
    case ZYDIS_ISA_SET_PCLMULQDQ:
    case ZYDIS_ISA_SET_VPCLMULQDQ:
    case ZYDIS_ISA_SET_VAES:
    case ZYDIS_ISA_SET_SHA:
    case ZYDIS_ISA_SET_GFNI:
    case ZYDIS_ISA_SET_AVX_GFNI:
      return Class::Crypto;
    default:
      return Class::Sse;
  }
}

Class class_of(const ZydisDecodedInstruction& in) {
  if (in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) {
    switch (in.meta.category) {
      case ZYDIS_CATEGORY_COMPRESS:
      case ZYDIS_CATEGORY_EXPAND:
      case ZYDIS_CATEGORY_GATHER:
      case ZYDIS_CATEGORY_SCATTER:
        return Class::EvexPacked;
      default:
        return Class::Evex;
    }
  }
  switch (in.meta.isa_set) {
    case ZYDIS_ISA_SET_AVX512F_KOP:
    case ZYDIS_ISA_SET_AVX512BW_KOP:
    case ZYDIS_ISA_SET_AVX512DQ_KOP:
      return Class::Opmask;
    default:
      break;
  }
  if (is_privileged(in.mnemonic)) return Class::Privileged;
  switch (in.mnemonic) {
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVQ:
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
      return Class::Masked;
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_STMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:
    case ZYDIS_MNEMONIC_VSTMXCSR:
      return Class::State;
    case ZYDIS_MNEMONIC_MUL:
    case ZYDIS_MNEMONIC_IMUL:
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV:
      return Class::MulDiv;
    case ZYDIS_MNEMONIC_FISTTP:
      return Class::X87;
    default:
      break;
  }
  if (!is_base_set(in.meta.isa_set)) return class_of_set(in.meta.isa_set);
  switch (in.meta.category) {
    case ZYDIS_CATEGORY_X87_ALU:
      return Class::X87;
    case ZYDIS_CATEGORY_STRINGOP:
      return Class::String;
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
      return Class::Stack;
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
      return Class::Branch;
    case ZYDIS_CATEGORY_CMOV:
    case ZYDIS_CATEGORY_SETCC:
      return Class::Conditional;
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_ROTATE:
      return Class::Shift;
    case ZYDIS_CATEGORY_BITBYTE:
      return Class::Bits;
    default:
      break;
  }
  if (in.mnemonic == ZYDIS_MNEMONIC_ENTER || in.mnemonic == ZYDIS_MNEMONIC_LEAVE) return Class::Stack;
  return Class::Integer;
}

bool names_system_register(const ZydisDecodedOperand* operands, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    if (operands[i].type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    switch (ZydisRegisterGetClass(operands[i].reg.value)) {
      case ZYDIS_REGCLASS_SEGMENT:
      case ZYDIS_REGCLASS_CONTROL:
      case ZYDIS_REGCLASS_DEBUG:
      case ZYDIS_REGCLASS_TEST:
        return true;
      default:
        break;
    }
  }
  return false;
}

bool is_general_class(ZydisRegisterClass cls) {
  return cls == ZYDIS_REGCLASS_GPR8 || cls == ZYDIS_REGCLASS_GPR16 || cls == ZYDIS_REGCLASS_GPR32 ||
         cls == ZYDIS_REGCLASS_GPR64;
}

}  // namespace

std::string_view name_of(Class of) { return kNames[static_cast<unsigned>(of)]; }

std::vector<u8> sample(const Form& form, Mode mode, SampleMask mask, bool disp) {
  std::vector<u8> out(form.prefixes);
  if (mode == Mode::Bits16 && form.memory) out.insert(out.begin(), 0x67);  // 32-bit addressing, for SIB
  if (form.evex) {
    out.insert(out.end(), {0x62, static_cast<u8>(0xF0 | form.map), static_cast<u8>(form.w << 7 | 0x7C | form.pp),
                           static_cast<u8>(mask.zeroing << 7 | form.l << 5 | form.b << 4 | 8 | mask.number)});
  } else if (form.vex) {
    out.insert(out.end(),
               {0xC4, static_cast<u8>(0xE0 | form.map), static_cast<u8>(form.w << 7 | 0x78 | form.l << 2 | form.pp)});
  } else {
    if (form.w) out.push_back(0x48);
    if (form.map >= 1) out.push_back(0x0F);
    if (form.map == 2) out.push_back(0x38);
    if (form.map == 3) out.push_back(0x3A);
  }
  out.push_back(form.opcode);
  if (form.modrm) {
    out.push_back(form.modrm_byte | (disp ? 0x40 : 0));
    if (form.memory) out.push_back(0x08);
    if (disp) out.push_back(1);
  }
  out.resize(out.size() + 10);
  return out;
}

ZydisDecoder make_decoder(Mode mode) {
  constexpr ZydisMachineMode machine[] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                          ZYDIS_MACHINE_MODE_LONG_COMPAT_16};
  constexpr ZydisStackWidth stack[] = {ZYDIS_STACK_WIDTH_64, ZYDIS_STACK_WIDTH_32, ZYDIS_STACK_WIDTH_16};
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, machine[static_cast<u8>(mode)], stack[static_cast<u8>(mode)]);
  for (auto off : {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_CLDEMOTE}) {
    ZydisDecoderEnableMode(&decoder, off, ZYAN_FALSE);
  }
  ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
  return decoder;
}

Forms::Forms(Mode mode, const vm::x86::CpuidTable& cpuid) : mode_(mode), decoder_(make_decoder(mode)) {
  const bool code64 = mode == Mode::Bits64;
  const auto sets = cpu::interp::announced_isa_sets(cpuid);
  announced_.resize(sets.size());
  for (std::size_t i = 0; i < sets.size(); ++i) announced_[i] = sets.test(i);
  const auto all_modrm = [&](Form form) {
    for (unsigned reg = 0; reg < 8; ++reg) {
      form.modrm = form.memory = true;
      form.modrm_byte = static_cast<u8>(reg << 3 | 4);
      try_form(form);
      form.memory = false;
      for (unsigned rm = 0; rm < 8; ++rm) {
        form.modrm_byte = static_cast<u8>(0xC0 | reg << 3 | rm);
        try_form(form);
      }
    }
  };
  const std::vector<u8> prefix_sets[] = {{}, {0x66}, {0xF2}, {0xF3}, {0x66, 0xF2}, {0x66, 0xF3}};
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    for (const auto& prefixes : prefix_sets) {
      for (u8 w = 0; w <= (code64 ? 1 : 0); ++w) {
        for (u8 map = 0; map < 4; ++map) {
          Form form;
          form.prefixes = prefixes;
          form.w = w;
          form.map = map;
          form.opcode = static_cast<u8>(opcode);
          try_form(form);
          all_modrm(form);
        }
      }
    }
    for (u8 map = 1; map < 4; ++map) {
      for (unsigned bits = 0; bits < 16; ++bits) {
        Form form;
        form.vex = true;
        form.map = map;
        form.opcode = static_cast<u8>(opcode);
        form.w = bits & 1, form.l = bits >> 1 & 1, form.pp = static_cast<u8>(bits >> 2);
        try_form(form);
        all_modrm(form);
      }
    }
  }
  enumerate_evex();
  for (unsigned i = 0; i < static_cast<unsigned>(Class::kCount); ++i) {
    for (auto& [mnemonic, forms] : by_mnemonic_[i]) classes_[i].push_back(std::move(forms));
    by_mnemonic_[i].clear();
  }
  seen_.clear();
}

void Forms::try_form(const Form& candidate) {
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  auto bytes = sample(candidate, mode_);
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, bytes.data(), bytes.size(), &in, operands))) {
    if (!candidate.evex) return;
    bytes = sample(candidate, mode_, {.number = 1});
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, bytes.data(), bytes.size(), &in, operands))) return;
  }
  const bool has_modrm = in.attributes & ZYDIS_ATTRIB_HAS_MODRM;
  if (has_modrm != candidate.modrm) return;
  // A prefix of the candidate that decoded as something else: bytes of another instruction.
  if (in.encoding != (candidate.evex  ? ZYDIS_INSTRUCTION_ENCODING_EVEX
                      : candidate.vex ? ZYDIS_INSTRUCTION_ENCODING_VEX
                                      : ZYDIS_INSTRUCTION_ENCODING_LEGACY))
    return;
  if (in.opcode != candidate.opcode || in.opcode_map != candidate.map) return;
  if (is_incomparable(in.mnemonic)) return;
  if (!is_base_set(in.meta.isa_set) && !announced_[in.meta.isa_set]) return;
  if (in.meta.isa_set == ZYDIS_ISA_SET_CET) return;
  if (in.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return;
  if (names_system_register(operands, in.operand_count_visible)) return;
  // Processors differ: 0F 0D with a register, VEX.W where it says nothing.
  if (in.meta.isa_set == ZYDIS_ISA_SET_PREFETCH_NOP && !candidate.memory) return;
  if (mode_ != Mode::Bits64 && candidate.w &&
      (in.mnemonic == ZYDIS_MNEMONIC_VPINSRD || in.mnemonic == ZYDIS_MNEMONIC_VPEXTRD ||
       in.mnemonic == ZYDIS_MNEMONIC_KMOVD))
    return;
  // Random 16-bit targets hit the snippet itself now and then, and may not come back.
  const bool indirect = (in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL) && candidate.modrm;
  if (indirect && mode_ == Mode::Bits16) return;
  // AMD's take LOOPE and LOOPNE from a repeat prefix, if there is one.
  const bool repeat = !candidate.prefixes.empty() && candidate.prefixes.back() != 0x66;
  if (repeat && (in.mnemonic == ZYDIS_MNEMONIC_LOOPE || in.mnemonic == ZYDIS_MNEMONIC_LOOPNE)) return;
  if (in.meta.category == ZYDIS_CATEGORY_RDRAND || in.meta.category == ZYDIS_CATEGORY_RDSEED) return;

  Form form = candidate;
  form.mnemonic = in.mnemonic;
  form.of = class_of(in);
  form.immediate_size = static_cast<u8>((in.raw.imm[0].size + in.raw.imm[1].size) / 8);
  form.relative = in.raw.imm[0].is_relative;
  form.moffs = !form.modrm && in.raw.disp.size != 0;
  for (unsigned i = 0; i < in.operand_count; ++i) {
    const auto& operand = operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY) {
      form.memory_size = operand.size / 8;
      if (operand.mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
        form.vsib = true;
        form.wide_index = in.mnemonic == ZYDIS_MNEMONIC_VSCATTERQPS || in.mnemonic == ZYDIS_MNEMONIC_VSCATTERQPD ||
                          in.mnemonic == ZYDIS_MNEMONIC_VPSCATTERQD || in.mnemonic == ZYDIS_MNEMONIC_VPSCATTERQQ ||
                          in.mnemonic == ZYDIS_MNEMONIC_VGATHERQPS || in.mnemonic == ZYDIS_MNEMONIC_VGATHERQPD ||
                          in.mnemonic == ZYDIS_MNEMONIC_VPGATHERQD || in.mnemonic == ZYDIS_MNEMONIC_VPGATHERQQ;
      }
    }
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    const auto cls = ZydisRegisterGetClass(operand.reg.value);
    const u8 registers = cls == ZYDIS_REGCLASS_MASK ? 8 : candidate.evex && !is_general_class(cls) ? 32 : 16;
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG) form.reg_count = registers;
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) form.rm_count = registers;
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_NDSNDD) form.vvvv_count = registers;
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG) form.reg_free = true;
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM) form.rm_free = true;
    if (operand.encoding == ZYDIS_OPERAND_ENCODING_NDSNDD) form.vvvv_free = true;
    if (operand.encoding != ZYDIS_OPERAND_ENCODING_NONE && is_general_class(ZydisRegisterGetClass(operand.reg.value))) {
      form.general = true;
    }
  }
  if (form.evex) probe_evex(form);
  std::vector<int> key{form.mnemonic, form.evex, form.b,  form.vex,    form.map,        form.opcode,
                       form.w,        form.l,    form.pp, form.memory, in.operand_width};
  for (u8 prefix : form.prefixes) key.push_back(prefix);
  key.push_back(form.reg_free ? -1 : form.modrm_byte >> 3 & 7);
  key.push_back(form.rm_free || form.memory ? -1 : form.modrm_byte & 7);
  if (!seen_.emplace(key, true).second) return;
  add(form);
  if ((in.attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK) && form.memory) {
    form.of = Class::Lock;
    add(form);
  }
}

void Forms::add(const Form& form) { by_mnemonic_[static_cast<unsigned>(form.of)][form.mnemonic].push_back(form); }

std::size_t Forms::count() const {
  std::size_t total = 0;
  for (const auto& mnemonics : classes_) {
    for (const auto& forms : mnemonics) total += forms.size();
  }
  return total;
}

}  // namespace vireo::diff
