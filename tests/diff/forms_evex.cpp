// EVEX-encoded forms: which there are, and what their prefix may say besides.
#include "forms.h"

namespace vireo::diff {

void Forms::enumerate_evex() {
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    for (u8 map = 1; map < 4; ++map) {
      const bool group = map == 1 && opcode >= 0x71 && opcode <= 0x73;  // ModRM.reg is part of the opcode
      for (unsigned bits = 0; bits < 64; ++bits) {
        Form form;
        form.evex = form.modrm = true;
        form.map = map;
        form.opcode = static_cast<u8>(opcode);
        form.w = bits & 1, form.l = bits >> 1 & 3, form.b = bits >> 3 & 1, form.pp = static_cast<u8>(bits >> 4);
        for (unsigned reg = 0; reg < (group ? 8u : 1u); ++reg) {
          form.memory = true;
          form.modrm_byte = static_cast<u8>(reg << 3 | 4);
          try_form(form);
          form.memory = false;
          form.modrm_byte = static_cast<u8>(0xC0 | reg << 3 | 1);
          try_form(form);
        }
      }
    }
  }
}

bool Forms::decodes(const Form& form, SampleMask mask) const {
  ZydisDecodedInstruction in;
  const auto bytes = sample(form, mode_, mask);
  return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder_, nullptr, bytes.data(), bytes.size(), &in));
}

/// What an EVEX prefix may say besides, and what a displacement of one byte counts.
void Forms::probe_evex(Form& form) const {
  form.mask_needed = !decodes(form, {});
  form.mask_allowed = decodes(form, {.number = 1});
  form.zeroing_allowed = decodes(form, {.number = 1, .zeroing = true});
  if (!form.memory) return;
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  const auto bytes = sample(form, mode_, {.number = u8{form.mask_needed}}, true);
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, bytes.data(), bytes.size(), &in, operands))) return;
  for (unsigned i = 0; i < in.operand_count; ++i) {
    if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY) form.disp8_scale = static_cast<u8>(operands[i].mem.disp.value);
  }
}

}  // namespace vireo::diff
