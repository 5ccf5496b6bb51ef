// From a form to the bytes of one instruction.
#include "base/bits.h"
#include "builder.h"

namespace vireo::diff {

using namespace vm::x86;

namespace {

bool fits8(i64 value) { return value >= -128 && value <= 127; }
bool fits32(i64 value) { return value == static_cast<i32>(value); }

void put(std::vector<u8>& out, u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}

bool wants_alignment(const Form& form) {
  switch (form.evex ? form.mnemonic : ZYDIS_MNEMONIC_INVALID) {
    case ZYDIS_MNEMONIC_INVALID:
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVDQA32:
    case ZYDIS_MNEMONIC_VMOVDQA64:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
      break;
    default:
      return false;
  }
  return form.memory_size == 16 || ((form.vex || form.evex) && form.memory_size >= 16);
}
}  // namespace

bool Builder::encode(const Form& form, Bytes& out, std::optional<Target>& target) {
  Encoding encoding;
  encode_prefixes(form, encoding, out);
  if (form.modrm) encode_operands(form, encoding);
  if (!encode_immediate(form, encoding, target)) return false;
  encode_opcode(form, encoding, out);
  const u64 tail_at = out.size();
  out.insert(out.end(), encoding.tail.begin(), encoding.tail.end());
  if (encoding.rip_at != 0) {
    const u64 next = here() + out.size();
    store<u32>(out.data() + tail_at + encoding.rip_at, static_cast<u32>(last_offset_ - next));
  }
  if (target) target->at = static_cast<unsigned>(snippet_.code.size() + out.size() - form.immediate_size);
  return out.size() <= 15;
}

void Builder::encode_prefixes(const Form& form, Encoding& encoding, Bytes& out) {
  const bool takes_address = form.memory || form.of == Class::String;
  if (takes_address && random_.percent(4)) {
    out.push_back(code64() ? random_.pick<u8>({0x2E, 0x36, 0x3E, 0x26, 0x65})
                           : random_.pick<u8>({0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65}));
  }
  constexpr unsigned sizes[] = {8, 4, 2}, others[] = {4, 2, 4};
  const auto mode = static_cast<u8>(snippet_.mode);
  // Flat 32-bit code has nothing below 64 KiB.
  const unsigned chance = snippet_.mode == Mode::Bits16   ? (form.vsib ? 100 : 30)
                          : snippet_.mode == Mode::Bits64 ? 8
                                                          : 2;
  const bool other = takes_address && random_.percent(chance);
  encoding.address_size = other ? others[mode] : sizes[mode];
  if (other) out.push_back(0x67);
  if (form.of == Class::Lock) out.push_back(0xF0);
  out.insert(out.end(), form.prefixes.begin(), form.prefixes.end());
}

void Builder::encode_evex(const Form& form, const Encoding& encoding, Bytes& out) {
  unsigned vvvv = form.vvvv_free ? static_cast<unsigned>(random_.below(vector_registers(form.vvvv_count))) : 0;
  if (encoding.index_high) vvvv |= 16;
  const bool masked = form.mask_allowed && (form.mask_needed || random_.percent(70));
  const auto mask = masked ? 1 + static_cast<unsigned>(random_.below(7)) : 0;
  const bool zeroing = masked && form.zeroing_allowed && random_.percent(50);
  out.push_back(0x62);
  out.push_back(static_cast<u8>((~encoding.rex & 7) << 5 | (encoding.reg_high ? 0 : 0x10) | form.map));
  out.push_back(static_cast<u8>(form.w << 7 | (~vvvv & 15) << 3 | 4 | form.pp));
  out.push_back(static_cast<u8>(zeroing << 7 | form.l << 5 | form.b << 4 | (vvvv & 16 ? 0 : 8) | mask));
}

void Builder::encode_opcode(const Form& form, const Encoding& encoding, Bytes& out) {
  u8 rex = encoding.rex;
  if (form.evex) {
    encode_evex(form, encoding, out);
  } else if (form.vex) {
    const unsigned count = std::min<unsigned>(form.vvvv_count, registers());
    const unsigned vvvv = form.vvvv_free ? static_cast<unsigned>(random_.below(count)) : 0;
    const unsigned last = form.w << 7 | (~vvvv & 15) << 3 | form.l << 2 | form.pp;
    if (form.map == 1 && form.w == 0 && !(rex & 3) && random_.percent(70)) {
      out.push_back(0xC5);
      out.push_back(static_cast<u8>((rex & 4 ? 0 : 0x80) | (last & 0x7F)));
    } else {
      out.push_back(0xC4);
      out.push_back(static_cast<u8>((~rex & 7) << 5 | form.map));
      out.push_back(static_cast<u8>(last));
    }
  } else {
    if (form.w) rex |= 8;
    if (code64() && !form.modrm && form.opcode >= 0x50 && form.opcode < 0x60 && random_.percent(50)) rex |= 1;
    if (rex != 0 || (code64() && random_.percent(15))) out.push_back(0x40 | rex);
    if (form.map >= 1) out.push_back(0x0F);
    if (form.map == 2) out.push_back(0x38);
    if (form.map == 3) out.push_back(0x3A);
  }
  out.push_back(form.opcode);
}

void Builder::encode_operands(const Form& form, Encoding& encoding) {
  unsigned reg = form.reg_free ? static_cast<unsigned>(random_.below(vector_registers(form.reg_count)))
                               : form.modrm_byte >> 3 & 7u;
  if (form.reg_free && form.general && reg == RSP && random_.percent(80)) reg = RAX;
  unsigned rm =
      form.rm_free ? static_cast<unsigned>(random_.below(vector_registers(form.rm_count))) : form.modrm_byte & 7u;
  if (form.rm_free && form.general && rm == RSP && random_.percent(80)) rm = RCX;
  encoding.reg = reg;
  encoding.rex |= static_cast<u8>((reg >> 3 & 1) << 2);
  encoding.reg_high = reg >= 16;
  if (!form.memory) {
    encoding.tail.push_back(static_cast<u8>(0xC0 | (reg & 7) << 3 | (rm & 7)));
    encoding.rex |= static_cast<u8>((rm >> 3 & 1) | (rm >> 4) << 1);
    return;
  }
  if ((form.of == Class::Bits || form.of == Class::Lock) && form.reg_free && random_.percent(70)) {
    pin(reg, static_cast<u64>(random_.between(-300, 300)));  // a bit offset that stays near
  }
  encode_memory(form, encoding);
}

/// ModRM, SIB and displacement for a memory operand; registers are pinned so that it lands where data_offset says.
void Builder::encode_memory(const Form& form, Encoding& encoding) {
  Bytes& out = encoding.tail;
  const u64 address = data_offset(std::max<unsigned>(form.memory_size, 1), wants_alignment(form));
  last_offset_ = address;
  if (encoding.address_size == 2) return encode_memory16(form, address, encoding);
  const unsigned modrm_reg = (encoding.reg & 7) << 3;
  const u64 shape = form.vsib ? 9 : random_.below(10);
  if (shape == 0 && code64()) {  // disp32 by SIB, without RIP
    out.push_back(static_cast<u8>(modrm_reg | 4));
    out.push_back(0x25);
    put(out, address, 4);
    return;
  }
  if (shape == 0 || (shape == 1 && code64())) {
    out.push_back(static_cast<u8>(modrm_reg | 5));
    put(out, address, 4);
    if (code64()) encoding.rip_at = 1;  // fixed up once the length is known
    return;
  }

  unsigned base = choose_base();
  const bool with_index = form.vsib || shape >= 6;
  unsigned index = 4;
  unsigned scale = 0;
  u64 offset = 0;
  if (form.vsib) {
    index = static_cast<unsigned>(random_.below(vector_registers(form.evex ? 32 : 16)));
    scale = static_cast<unsigned>(random_.below(4));
    if (random_.percent(95)) {
      index_vector_[index] = true;
      wide_index_[index] = form.wide_index;
    }
  } else if (with_index) {
    unsigned tries = 0;
    do {
      index = static_cast<unsigned>(random_.below(registers()));
    } while (index == RSP || (calm_ && (written_ & bit(index)) && ++tries < 20));
    scale = static_cast<unsigned>(random_.below(4));
    if (index == base) base = RSP;
    offset = (pin(index, static_cast<u64>(random_.between(-64, 64))) + moved_[index]) << scale;
  }
  const bool narrow = encoding.address_size == 4;
  const u64 noise = narrow && code64() && !calm_ ? random_.next() << 32 : 0;
  const i64 step = random_.percent(50) ? form.disp8_scale : 1;
  const u64 value =
      pin(base, (address + static_cast<u64>(step * random_.between(-128, 128)) - offset) | noise) + moved_[base];
  u64 rest = address - value - offset;
  if (narrow) rest = sign_extend(rest & 0xFFFFFFFF, 4);
  if (!fits32(static_cast<i64>(rest))) rest &= 0x7FF;
  const auto disp = static_cast<i64>(rest);
  const bool scaled = disp % form.disp8_scale == 0 && fits8(disp / form.disp8_scale);
  const unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : scaled && random_.percent(90) ? 1 : 2;
  if (with_index || (base & 7) == 4) {
    out.push_back(static_cast<u8>(mod << 6 | modrm_reg | 4));
    out.push_back(static_cast<u8>(scale << 6 | (index & 7) << 3 | (base & 7)));
  } else {
    out.push_back(static_cast<u8>(mod << 6 | modrm_reg | (base & 7)));
  }
  encoding.rex |= static_cast<u8>(base >> 3 | (with_index ? (index >> 3 & 1) << 1 : 0));
  encoding.index_high = index >= 16;
  if (mod != 0) put(out, static_cast<u64>(mod == 1 ? disp / form.disp8_scale : disp), mod == 1 ? 1 : 4);
}

/// SDM 2A table 2-1.
void Builder::encode_memory16(const Form& form, u64 offset, Encoding& encoding) {
  constexpr struct {
    Gpr base, index;
    bool has_index;
  } forms[8] = {{RBX, RSI, true},  {RBX, RDI, true},  {RBP, RSI, true},  {RBP, RDI, true},
                {RSI, RAX, false}, {RDI, RAX, false}, {RBP, RAX, false}, {RBX, RAX, false}};
  Bytes& out = encoding.tail;
  const unsigned modrm_reg = (encoding.reg & 7) << 3;
  const auto rm = static_cast<unsigned>(random_.below(8));
  if (rm == 6 && random_.percent(50)) {
    out.push_back(static_cast<u8>(modrm_reg | 6));
    put(out, offset, 2);
    return;
  }
  const u64 noise = random_.percent(50) ? random_.next() & 0xFFFF0000 : 0;  // upper halves play no part
  const u64 index = forms[rm].has_index ? pin(forms[rm].index, static_cast<u16>(random_.between(-64, 64)) | noise) : 0;
  const u64 base =
      pin(forms[rm].base, static_cast<u16>(offset + static_cast<u64>(random_.between(-128, 128)) - index) | noise);
  const auto disp = static_cast<i16>(offset - base - index);
  const bool scaled = disp % form.disp8_scale == 0 && fits8(disp / form.disp8_scale);
  const unsigned mod = disp == 0 && rm != 6 ? 0 : scaled && random_.percent(90) ? 1 : 2;
  out.push_back(static_cast<u8>(mod << 6 | modrm_reg | rm));
  if (mod != 0) put(out, static_cast<u64>(mod == 1 ? disp / form.disp8_scale : disp), mod);
}

bool Builder::encode_immediate(const Form& form, Encoding& encoding, std::optional<Target>& target) {
  Bytes& tail = encoding.tail;
  if (form.moffs) {
    last_offset_ = data_offset(form.memory_size, false);
    put(tail, last_offset_, encoding.address_size);
    return true;
  }
  if (form.relative) {
    target = Target{.instruction = 0, .at = 0, .size = form.immediate_size};
    put(tail, 0, form.immediate_size);
    return true;
  }
  if (form.mnemonic == ZYDIS_MNEMONIC_RET) return false;  // see add_indirect_branch
  if (form.mnemonic == ZYDIS_MNEMONIC_ENTER) {
    put(tail, random_.below(256), 2);
    put(tail, random_.percent(70) ? 0 : random_.below(32), 1);
    return true;
  }
  put(tail, random_.percent(50) ? random_.next() : random_.integer(), form.immediate_size);
  return true;
}

}  // namespace vireo::diff
