// Encoding: SDM 2A 2.1 (legacy), 2.3 (VEX), 2.7 (EVEX).
#include "cpu/translate/rewrite.h"

namespace vireo::cpu::translate {

namespace {

constexpr unsigned kSegmentPrefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65};

bool is_rex(unsigned prefix) { return (prefix & 0xF0) == 0x40; }

/// Of repeated ones the last.
bool keeps_prefix(const GuestInsn& insn, unsigned index) {
  const auto& raw = insn.in.raw;
  const unsigned value = raw.prefixes[index].value;
  bool kept = value != 0x67 && !is_rex(value);
  for (const unsigned prefix : kSegmentPrefixes) kept = kept && value != prefix;
  for (unsigned i = index + 1; i < raw.prefix_count; ++i) kept = kept && raw.prefixes[i].value != value;
  return kept;
}

/// The register fields of an instruction, extension bits included, before and after substitution.
struct Fields {
  unsigned reg = 0;   ///< 5 bits
  unsigned rm = 0;    ///< 5 bits, when not memory
  unsigned vvvv = 0;  ///< 5 bits
  unsigned x = 0, b = 0;
};

void substitute(Fields& fields, const GuestInsn& insn, const Substitution& with) {
  if (with.modrm_reg != Host::None) fields.reg = num(with.modrm_reg);
  if (with.vvvv != Host::None) fields.vvvv = num(with.vvvv);
  if (insn.mem.present) {
    const unsigned xb = Emitter::rex_xb(with.mem);
    fields.x = xb >> 1;
    fields.b = xb & 1;
  } else {
    if (with.modrm_rm != Host::None) fields.rm = num(with.modrm_rm);
    if (with.opcode != Host::None) fields.rm = num(with.opcode);
    fields.x = fields.rm >> 4;
    fields.b = fields.rm >> 3 & 1;
  }
}

void emit_modrm_and_rest(Emitter& emit, const GuestInsn& insn, const Fields& fields, const Substitution& with,
                         bool wide_disp) {
  const auto& raw = insn.in.raw;
  if (insn.in.attributes & ZYDIS_ATTRIB_HAS_MODRM) {
    if (insn.mem.present) {
      emit.modrm(fields.reg & 7, with.mem, wide_disp);
    } else {
      emit.byte(0xC0 | (fields.reg & 7) << 3 | (fields.rm & 7));
    }
  }
  for (const auto& imm : raw.imm) emit.bytes(insn.bytes + imm.offset, imm.size / 8u);
}

void emit_legacy(Emitter& emit, const GuestInsn& insn, const Substitution& with) {
  const auto& raw = insn.in.raw;
  for (unsigned i = 0; i < raw.prefix_count; ++i) {
    if (keeps_prefix(insn, i)) emit.byte(raw.prefixes[i].value);
  }
  unsigned opcode = insn.in.opcode;
  const bool first_map = insn.in.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
  if (insn.code32() && first_map && (opcode & 0xF0) == 0x40) {  // INC and DEC that are REX prefixes now: FF /0, /1
    if (num(with.opcode) >= 8) emit.byte(0x41);
    emit.byte(0xFF);
    emit.byte(0xC0 | (opcode & 8) | (num(with.opcode) & 7));
    return;
  }
  if (insn.code32() && is_moffs(insn.in)) {
    const unsigned xb = Emitter::rex_xb(with.mem);
    if (xb != 0) emit.byte(0x40 | xb);
    emit.byte(((opcode & 2) ? 0x88 : 0x8A) | (opcode & 1));
    emit.modrm(num(Host::RAX), with.mem);
    return;
  }
  if (insn.code32() && first_map && opcode == 0x82) opcode = 0x80;
  const unsigned rex = insn.in.attributes & ZYDIS_ATTRIB_HAS_REX ? insn.bytes[raw.rex.offset] & 15u : 0;
  const bool modrm = insn.in.attributes & ZYDIS_ATTRIB_HAS_MODRM;
  Fields fields;
  fields.reg = raw.modrm.reg | (rex & 4) << 1;
  fields.rm = (modrm ? raw.modrm.rm : opcode & 7u) | (rex & 1) << 3;
  substitute(fields, insn, with);
  const unsigned bits = (rex & 8) | (fields.reg >> 3 & 1) << 2 | fields.x << 1 | fields.b;
  // SPL..DIL, and not AH..BH, which are never left over here.
  if (bits != 0 || with.byte_regs) emit.byte(0x40 | bits);
  switch (insn.in.opcode_map) {
    case ZYDIS_OPCODE_MAP_0F:
      emit.byte(0x0F);
      break;
    case ZYDIS_OPCODE_MAP_0F38:
      emit.byte(0x0F);
      emit.byte(0x38);
      break;
    case ZYDIS_OPCODE_MAP_0F3A:
      emit.byte(0x0F);
      emit.byte(0x3A);
      break;
    default:
      break;
  }
  emit.byte(with.opcode != Host::None ? (opcode & 0xF8u) | (fields.rm & 7) : opcode);
  emit_modrm_and_rest(emit, insn, fields, with, false);
}

void emit_vex(Emitter& emit, const GuestInsn& insn, const Substitution& with) {
  const auto& raw = insn.in.raw;
  const u8* vex = insn.bytes + raw.vex.offset;
  const bool three = vex[0] == 0xC4;
  const unsigned first = three ? vex[1] : (vex[1] & 0x80u) | 0x61;  // R X B as in a three-byte prefix, map 0F
  const unsigned second = three ? vex[2] : vex[1] & 0x7Fu;
  Fields fields;
  fields.reg = raw.modrm.reg | (~first >> 7 & 1) << 3;
  fields.rm = raw.modrm.rm | (~first >> 5 & 1) << 3;
  fields.vvvv = ~second >> 3 & 15;
  substitute(fields, insn, with);
  emit.byte(0xC4);
  emit.byte((~fields.reg >> 3 & 1) << 7 | (~fields.x & 1) << 6 | (~fields.b & 1) << 5 | (first & 31));
  emit.byte((second & 0x87) | (~fields.vvvv & 15) << 3);
  emit.byte(insn.in.opcode);
  emit_modrm_and_rest(emit, insn, fields, with, false);
}

void emit_evex(Emitter& emit, const GuestInsn& insn, const Substitution& with) {
  const auto& raw = insn.in.raw;
  const u8* evex = insn.bytes + raw.evex.offset;
  const unsigned p0 = evex[1], p1 = evex[2], p2 = evex[3];
  Fields fields;
  fields.reg = raw.modrm.reg | (~p0 >> 7 & 1) << 3 | (~p0 >> 4 & 1) << 4;
  fields.rm = raw.modrm.rm | (~p0 >> 5 & 1) << 3 | (~p0 >> 6 & 1) << 4;
  fields.vvvv = (~p1 >> 3 & 15) | (~p2 >> 3 & 1) << 4;
  substitute(fields, insn, with);
  emit.byte(0x62);
  emit.byte((~fields.reg >> 3 & 1) << 7 | (~fields.x & 1) << 6 | (~fields.b & 1) << 5 | (~fields.reg >> 4 & 1) << 4 |
            (p0 & 15));
  emit.byte((p1 & 0x87) | (~fields.vvvv & 15) << 3);
  emit.byte((p2 & 0xF7) | (~fields.vvvv >> 4 & 1) << 3);
  emit.byte(insn.in.opcode);
  emit_modrm_and_rest(emit, insn, fields, with, true);  // an 8-bit displacement would be scaled
}

}  // namespace

bool may_grow_too_long(const GuestInsn& insn) {
  constexpr unsigned kLongest = 15, kRexAndSib = 2;
  if (insn.in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) return false;  // with all there is, 12 bytes
  unsigned length = insn.length;
  for (unsigned i = 0; i < insn.in.raw.prefix_count; ++i) {
    if (!is_rex(insn.in.raw.prefixes[i].value) && !keeps_prefix(insn, i)) --length;
  }
  return length + kRexAndSib > kLongest;
}

void emit_rewritten(Emitter& emit, const GuestInsn& insn, const Substitution& with) {
  switch (insn.in.encoding) {
    case ZYDIS_INSTRUCTION_ENCODING_VEX:
      return emit_vex(emit, insn, with);
    case ZYDIS_INSTRUCTION_ENCODING_EVEX:
      return emit_evex(emit, insn, with);
    default:
      return emit_legacy(emit, insn, with);
  }
}

}  // namespace vireo::cpu::translate
