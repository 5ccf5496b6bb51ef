#include "builder.h"

#include <cstring>

#include "base/bits.h"

namespace vireo::diff {

using namespace vm::x86;

namespace {

constexpr unsigned kLongestCode = 200;  // one byte offsets, and within a 256-byte chunk

bool fits8(i64 value) { return value >= -128 && value <= 127; }
bool fits32(i64 value) { return value == static_cast<i32>(value); }

void put(std::vector<u8>& out, u64 value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}

bool wants_alignment(const Form& form) { return form.memory_size == 16 || (form.vex && form.memory_size >= 16); }

}  // namespace

Builder::Builder(Random& random, const Forms& forms, bool code64) : random_(random), forms_(forms) {
  snippet_.code64 = code64;
  pinned_[RSP] = kData + align_down(512 + random_.below(kDataSize - 1024), random_.percent(90) ? 8 : 1);
}

/// Mostly inside the data pages; sometimes across their inner border, into the read-only page or out of all.
u64 Builder::data_address(unsigned size, bool aligned) {
  u64 offset = random_.below(kDataSize - 512) + 256;
  switch (random_.below(16)) {
    case 0:
      offset = kPageSize - random_.below(size + 1u);
      break;
    case 1:
      offset = kDataSize - random_.below(size + 1u);
      break;
    case 2:
      offset = random_.percent(50) ? sizeof(Data) - random_.below(size + 1u) : u64{0} - random_.below(size + 1u);
      break;
    default:
      break;
  }
  if (aligned ? random_.percent(90) : random_.percent(40)) offset &= ~u64{31};
  return kData + offset;
}

u64 Builder::pin(unsigned reg, u64 wanted) {
  if (!snippet_.code64) wanted = static_cast<u32>(wanted);
  if (!pinned_[reg]) pinned_[reg] = wanted;
  return *pinned_[reg];
}

void Builder::append(const Bytes& bytes) {
  snippet_.starts.push_back(static_cast<u8>(snippet_.code.size()));
  snippet_.code.insert(snippet_.code.end(), bytes.begin(), bytes.end());
}

/// What the manuals leave open, or the host cannot show in 64-bit mode.
void Builder::note_looseness(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_AAM:
    case ZYDIS_MNEMONIC_AAD:
      snippet_.any_flags = rflags::OF | rflags::AF | rflags::CF;
      break;
    case ZYDIS_MNEMONIC_AAA:
    case ZYDIS_MNEMONIC_AAS:
      snippet_.any_flags = rflags::OF | rflags::SF | rflags::ZF | rflags::PF;
      break;
    case ZYDIS_MNEMONIC_DAA:
    case ZYDIS_MNEMONIC_DAS:
      snippet_.any_flags = rflags::OF;
      break;
    case ZYDIS_MNEMONIC_MASKMOVQ:
      snippet_.any_mmx_on_fault = true;
      snippet_.any_fault_address = true;
      return;
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR:
      snippet_.any_fault_address = true;
      return;
    default:
      return;
  }
  closed_ = true;
}

/// Implicit operands that decide where an instruction goes.
void Builder::prepare_registers(const Form& form) {
  switch (form.of) {
    case Class::String: {
      for (unsigned reg : {RSI, RDI}) pin(reg, data_address(8, false));
      const u64 count = random_.percent(90) ? random_.below(40) : random_.below(5000);
      if (random_.percent(97)) pin(RCX, count);
      break;
    }
    case Class::Masked:
      if (!form.memory) pin(RDI, data_address(16, false));
      break;
    case Class::MulDiv:
      // Half of the divisions shall not overflow.
      if (random_.percent(50)) pin(RDX, random_.percent(50) ? 0 : ~u64{0});
      break;
    case Class::Bits:
      break;
    default:
      if (form.mnemonic == ZYDIS_MNEMONIC_XLAT) pin(RBX, data_address(256, false));
      if (form.mnemonic == ZYDIS_MNEMONIC_LEAVE) pin(RBP, data_address(8, false));
      if (form.mnemonic == ZYDIS_MNEMONIC_ENTER) pin(RBP, data_address(8, false));
      break;
  }
}

/// ModRM, SIB and displacement for a memory operand; registers are pinned so that it lands where data_address says.
void Builder::encode_memory(const Form& form, unsigned reg, bool address32, Bytes& out, u8& rex) {
  const unsigned registers = snippet_.code64 ? 16 : 8;
  const u64 address = data_address(std::max<unsigned>(form.memory_size, 1), wants_alignment(form));
  last_address_ = address;
  const unsigned modrm_reg = (reg & 7) << 3;
  const u64 shape = form.vsib ? 9 : random_.below(10);
  if (shape == 0) {  // disp32; in 64-bit mode without RIP
    if (snippet_.code64) {
      out.push_back(static_cast<u8>(modrm_reg | 4));
      out.push_back(0x25);
    } else {
      out.push_back(static_cast<u8>(modrm_reg | 5));
    }
    put(out, address, 4);
    return;
  }
  if (shape == 1 && snippet_.code64) {  // RIP-relative; fixed up once the length is known
    out.push_back(static_cast<u8>(modrm_reg | 5));
    put(out, address, 4);
    return;
  }

  unsigned base = static_cast<unsigned>(random_.below(registers));
  const bool with_index = form.vsib || shape >= 6;
  unsigned index = 4;
  unsigned scale = 0;
  u64 offset = 0;
  if (form.vsib) {
    index = static_cast<unsigned>(random_.below(registers));
    scale = static_cast<unsigned>(random_.below(4));
    if (random_.percent(95)) {
      index_vector_[index] = true;
      wide_index_[index] = form.wide_index;
    }
  } else if (with_index) {
    do {
      index = static_cast<unsigned>(random_.below(registers));
    } while (index == RSP);
    scale = static_cast<unsigned>(random_.below(4));
    if (index == base) base = RSP;
    offset = pin(index, static_cast<u64>(random_.between(-64, 64))) << scale;
  }
  const u64 noise = address32 && snippet_.code64 ? random_.next() << 32 : 0;
  const u64 value = pin(base, (address + static_cast<u64>(random_.between(-128, 128)) - offset) | noise);
  u64 rest = address - value - offset;
  if (address32 || !snippet_.code64) rest = sign_extend(rest & 0xFFFFFFFF, 4);
  if (!fits32(static_cast<i64>(rest))) rest &= 0x7FF;
  const auto disp = static_cast<i64>(rest);
  const unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : fits8(disp) && random_.percent(90) ? 1 : 2;
  if (with_index || (base & 7) == 4) {
    out.push_back(static_cast<u8>(mod << 6 | modrm_reg | 4));
    out.push_back(static_cast<u8>(scale << 6 | (index & 7) << 3 | (base & 7)));
  } else {
    out.push_back(static_cast<u8>(mod << 6 | modrm_reg | (base & 7)));
  }
  rex |= static_cast<u8>(base >> 3 | (with_index ? (index >> 3) << 1 : 0));
  if (mod != 0) put(out, static_cast<u64>(disp), mod == 1 ? 1 : 4);
}

bool Builder::encode(const Form& form, Bytes& out, std::optional<Target>& target) {
  const bool code64 = snippet_.code64;
  const unsigned registers = code64 ? 16 : 8;
  const bool takes_address = form.memory || form.of == Class::String;
  const bool address32 = code64 && takes_address && !form.moffs && random_.percent(8);
  if (takes_address && random_.percent(4)) {
    out.push_back(code64 ? random_.pick<u8>({0x2E, 0x36, 0x3E, 0x26, 0x65})
                         : random_.pick<u8>({0x2E, 0x36, 0x3E, 0x26}));
  }
  if (address32) out.push_back(0x67);
  if (form.of == Class::Lock) out.push_back(0xF0);
  out.insert(out.end(), form.prefixes.begin(), form.prefixes.end());

  unsigned reg = form.reg_free ? static_cast<unsigned>(random_.below(registers)) : form.modrm_byte >> 3 & 7u;
  if (form.reg_free && form.general && reg == RSP && random_.percent(80)) reg = RAX;
  unsigned rm = form.rm_free ? static_cast<unsigned>(random_.below(registers)) : form.modrm_byte & 7u;
  if (form.rm_free && form.general && rm == RSP && random_.percent(80)) rm = RCX;

  Bytes tail;  // ModRM and what follows
  u8 rex = 0;
  const bool rip_possible = code64;
  unsigned rip_at = 0;
  if (form.modrm) {
    if (form.memory) {
      if ((form.of == Class::Bits || form.of == Class::Lock) && form.reg_free && random_.percent(70)) {
        pin(reg & 15, static_cast<u64>(random_.between(-300, 300)));
      }
      encode_memory(form, reg, address32, tail, rex);
      if (rip_possible && (tail[0] & 0xC7) == 5) rip_at = 1;
    } else {
      tail.push_back(static_cast<u8>(0xC0 | (reg & 7) << 3 | (rm & 7)));
      rex |= static_cast<u8>(rm >> 3);
    }
    rex |= static_cast<u8>((reg >> 3) << 2);
  }
  if (form.moffs) {
    const u64 address = data_address(form.memory_size, false);
    last_address_ = address;
    put(tail, address, code64 ? 8 : 4);
  } else if (form.relative) {
    target = Target{.instruction = 0, .at = 0, .size = form.immediate_size};
    put(tail, 0, form.immediate_size);
  } else {
    put(tail, random_.percent(50) ? random_.next() : random_.integer(), form.immediate_size);
    if (form.mnemonic == ZYDIS_MNEMONIC_ENTER) {
      tail[0] = static_cast<u8>(random_.below(256)), tail[1] = 0;
      tail[2] = static_cast<u8>(random_.percent(70) ? 0 : random_.below(32));
    }
    if (form.mnemonic == ZYDIS_MNEMONIC_RET) return false;
  }

  if (form.vex) {
    const unsigned vvvv = form.vvvv_free ? static_cast<unsigned>(random_.below(registers)) : 0;
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
    if (code64 && !form.modrm && form.opcode >= 0x50 && form.opcode < 0x60 && random_.percent(50)) rex |= 1;
    if (rex != 0 || (code64 && random_.percent(15))) out.push_back(0x40 | rex);
    if (form.map >= 1) out.push_back(0x0F);
    if (form.map == 2) out.push_back(0x38);
    if (form.map == 3) out.push_back(0x3A);
  }
  out.push_back(form.opcode);
  const auto tail_at = static_cast<unsigned>(out.size());
  out.insert(out.end(), tail.begin(), tail.end());
  if (rip_at != 0) {
    const u64 next = kCode + snippet_.code.size() + out.size();
    store<u32>(out.data() + tail_at + rip_at, static_cast<u32>(last_address_ - next));
  }
  if (target) target->at = static_cast<unsigned>(snippet_.code.size() + out.size() - form.immediate_size);
  return out.size() <= 15;
}

bool Builder::add(const Form& form) {
  if (snippet_.code.size() > kLongestCode || closed_) return false;
  Bytes bytes;
  std::optional<Target> target;
  const auto pinned = pinned_;
  prepare_registers(form);
  const bool built = encode(form, bytes, target);
  ZydisDecodedInstruction in;
  if (built &&
      ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&forms_.decoder(), nullptr, bytes.data(), bytes.size(), &in)) &&
      in.mnemonic == form.mnemonic && in.length == bytes.size()) {
    if (target) {
      target->instruction = static_cast<unsigned>(snippet_.starts.size());
      targets_.push_back(*target);
    }
    if (form.mnemonic == ZYDIS_MNEMONIC_LDMXCSR || form.mnemonic == ZYDIS_MNEMONIC_VLDMXCSR) {
      if (last_address_ >= kData && last_address_ + 4 <= kDataEnd && random_.percent(90)) {
        const u64 value = random_.next();
        snippet_.patches.push_back(
            {static_cast<u32>(last_address_ - kData),
             {static_cast<u8>(value), static_cast<u8>(value >> 8 | (random_.percent(60) ? 0x1F : 0)), 0, 0}});
      }
    }
    append(bytes);
    note_looseness(form.mnemonic);
    return true;
  }
  pinned_ = pinned;
  return false;
}

void Builder::add_state_exchange() {
  if (snippet_.code.size() > kLongestCode - 60 || closed_) return;
  closed_ = true;  // what is host-specific in the image must not travel further
  const u64 offset =
      256 + align_down(random_.below(kDataSize - 2048), 64) + (random_.percent(95) ? 0 : random_.below(64));
  const bool wide = snippet_.code64 && random_.percent(70);
  snippet_.starts.push_back(static_cast<u8>(snippet_.code.size()));  // one instruction: nobody may jump into it
  auto& code = snippet_.code;
  const auto load_integer = [&](unsigned reg, u32 value) {
    code.push_back(static_cast<u8>(0xB8 | reg));
    put(code, value, 4);
  };
  const auto memory = [&](u8 opcode, unsigned digit) {  // [rbx]
    if (wide) code.push_back(0x48);
    code.push_back(0x0F);
    code.push_back(opcode);
    code.push_back(static_cast<u8>(digit << 3 | RBX));
  };
  load_integer(RBX, static_cast<u32>(kData + offset));
  load_integer(RDX, 0);
  const auto mask = static_cast<u32>(random_.below(8));
  load_integer(RAX, mask);
  // Pointers that are not canonical are cut somewhere.
  snippet_.patches.push_back({static_cast<u32>(offset + 14), {0, 0}});
  snippet_.patches.push_back({static_cast<u32>(offset + 22), {0, 0}});
  snippet_.any_fault_address = true;
  // MXCSR_MASK says what the host has.
  snippet_.ignored.push_back({static_cast<u32>(offset + 28), 4});
  switch (random_.below(5)) {
    case 0:
      memory(0xAE, 0);  // FXSAVE, FXRSTOR
      if (random_.percent(50)) {
        code.insert(code.end(), {0xDB, 0xE3});  // FNINIT
        memory(0xAE, 1);
      }
      return;
    case 1: {  // FXRSTOR of random data
      snippet_.patches.push_back({static_cast<u32>(offset + 24), {0x80, static_cast<u8>(random_.next()), 0, 0}});
      memory(0xAE, 1);
      return;
    }
    default:
      break;
  }
  // A header that is not all garbage: XRSTOR checks it and XSAVE merges into it.
  Bytes header(64);
  header[0] = static_cast<u8>(random_.below(8));
  if (random_.percent(5)) header[1 + random_.below(23)] = 1;
  if (random_.percent(3)) header[0] |= 8;
  snippet_.patches.push_back({static_cast<u32>(offset + 512), header});
  snippet_.patches.push_back({static_cast<u32>(offset + 24), {0x80, static_cast<u8>(random_.next()), 0, 0}});
  // XINUSE may be more than what differs from the initial values: XSTATE_BV after a save is the host's own affair.
  const u64 kind = random_.below(4);
  if (kind == 0) {
    memory(0xAE, 5);  // XRSTOR
    return;
  }
  snippet_.ignored.push_back({static_cast<u32>(offset + 512), 1});
  if (kind == 1) {
    memory(0xAE, 4);  // XSAVE
  } else if (kind == 2) {
    memory(0xC7, 4);  // XSAVEC
  } else {
    memory(0xAE, 6);  // XSAVEOPT
  }
  if (random_.percent(60)) {
    load_integer(RAX, static_cast<u32>(random_.below(8)));
    memory(0xAE, 5);
  }
}

void Builder::add_indirect_branch() {
  if (snippet_.code.size() > kLongestCode - 40 || closed_) return;
  const unsigned reg = random_.pick<unsigned>({RAX, RCX, RDX, RBX, RSI, RDI});
  const auto instruction = static_cast<unsigned>(snippet_.starts.size());
  targets_.push_back(
      {.instruction = instruction, .at = static_cast<unsigned>(snippet_.code.size()) + 1, .size = 4, .absolute = true});
  Bytes bytes{static_cast<u8>(0xB8 | reg), 0, 0, 0, 0};  // MOV reg, target: fixed up in finish
  const auto then = [&](std::initializer_list<u8> more) { bytes.insert(bytes.end(), more); };
  switch (random_.below(4)) {
    case 0:
      then({0xFF, static_cast<u8>(0xE0 | reg)});  // JMP reg
      break;
    case 1:
      then({0xFF, static_cast<u8>(0xD0 | reg)});  // CALL reg
      break;
    case 2:
      then({static_cast<u8>(0x50 | reg), 0xC3});  // PUSH reg; RET
      break;
    default:
      then({static_cast<u8>(0x50 | reg), 0xC2, static_cast<u8>(random_.below(128)), 0});  // PUSH reg; RET imm16
      break;
  }
  append(bytes);  // as one instruction: nobody may jump into it
}

Snippet Builder::finish() {
  const auto end = static_cast<unsigned>(snippet_.code.size());
  for (const Target& target : targets_) {
    // Forward only: the end, or any instruction after the branch.
    const auto count = static_cast<unsigned>(snippet_.starts.size());
    const unsigned first = target.instruction + 1;
    const unsigned choice = first + static_cast<unsigned>(random_.below(count - std::min(first, count) + 1));
    const unsigned to = choice >= count ? end : snippet_.starts[choice];
    const u64 value = target.absolute ? kCode + to : u64{to} - (target.at + target.size);
    std::memcpy(snippet_.code.data() + target.at, &value, target.size);
  }

  State& state = snippet_.state;
  const unsigned registers = snippet_.code64 ? 16 : 8;
  for (unsigned i = 0; i < registers; ++i) {
    const u64 value = random_.percent(15) ? data_address(8, false) : random_.integer();
    state.regs.gpr[i] = pinned_[i] ? *pinned_[i] : snippet_.code64 ? value : static_cast<u32>(value);
  }
  state.regs.rip = kCode;
  state.regs.rflags =
      rflags::Fixed1 | rflags::IF | (random_.next() & rflags::kStatus) | (random_.percent(20) ? rflags::DF : 0);

  FpuState& fpu = state.fpu;
  fpu.mxcsr = 0x1F80;
  if (random_.percent(50)) fpu.mxcsr |= static_cast<u32>(random_.next() & 0xE07F);
  if (random_.percent(15)) fpu.mxcsr &= ~(static_cast<u32>(random_.next()) & 0x1F80);
  fpu.fcw = random_.percent(50) ? 0x37F : static_cast<u16>(0x7F | (random_.next() & 0xF00));
  if (random_.percent(15)) fpu.fcw &= static_cast<u16>(~(random_.next() & 0x3F));
  fpu.fsw = static_cast<u16>(random_.next() & 0x7F7F);
  if (random_.percent(90)) fpu.fsw &= static_cast<u16>(~(~fpu.fcw & 0x3F));
  if (fpu.fsw & ~fpu.fcw & 0x3F) fpu.fsw |= 0x8080;
  fpu.ftw = random_.percent(60) ? static_cast<u8>(random_.next()) : random_.pick<u8>({0, 0xFF});
  for (auto& st : fpu.st) {
    u8 value[10];
    random_.float80(value);
    std::memcpy(st.data(), value, 10);
  }
  for (unsigned i = 0; i < 16; ++i) {
    u8* at = fpu.zmm[i].data();
    random_.vector(at, 32);
    if (!index_vector_[i]) continue;
    for (unsigned k = 0; k < 32; k += wide_index_[i] ? 8 : 4) {
      const i64 small = random_.between(-40, 40);
      std::memcpy(at + k, &small, wide_index_[i] ? 8 : 4);
    }
  }
  return std::move(snippet_);
}

}  // namespace vireo::diff
