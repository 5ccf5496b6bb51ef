#include "builder.h"

#include <bit>
#include <cstring>

#include "base/bits.h"

namespace vireo::diff {

using namespace vm::x86;

Builder::Builder(Random& random, const Forms& forms, Mode mode, bool calm)
    : random_(random), forms_(forms), calm_(calm) {
  snippet_.mode = mode;
  // Anywhere in the first page, across the border, or running into the end.
  switch (random_.below(16)) {
    case 0:
      snippet_.start = kCode + kCodeSize - 1 - random_.below(40);
      break;
    case 1:
    case 2:
      snippet_.start = kCode + kPageSize - 1 - random_.below(40);
      break;
    default:
      snippet_.start = kCode + random_.below(kPageSize - 300);
      break;
  }
  pinned_[RSP] =
      kData - data_base(mode) + align_down(512 + random_.below(kDataSize - 1024), random_.percent(90) ? 8 : 1);
}

/// Mostly inside the data pages; sometimes across their inner border, into the read-only page or out of all.
u64 Builder::data_offset(unsigned size, bool aligned) {
  u64 offset = random_.below(kDataSize - 512) + 256;
  switch (calm_ ? random_.below(16) & 12 : random_.below(16)) {
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
  if (aligned ? calm_ || random_.percent(90) : random_.percent(40)) offset &= size > 32 ? ~u64{63} : ~u64{31};
  return kData - data_base(snippet_.mode) + offset;
}

u64 Builder::pin(unsigned reg, u64 wanted) {
  if (!code64()) wanted = static_cast<u32>(wanted);
  if (!pinned_[reg]) pinned_[reg] = wanted;
  return *pinned_[reg];
}

unsigned Builder::choose_base() {
  auto reg = static_cast<unsigned>(random_.below(registers()));
  if (!calm_) return reg;
  const bool again = addresses_ != 0 && random_.percent(std::popcount(addresses_) < 3 ? 60 : 97);
  for (unsigned tries = 0; tries < 40; ++tries, reg = static_cast<unsigned>(random_.below(registers()))) {
    const u16 mask = static_cast<u16>(bit(reg));
    if (again ? addresses_ & mask : !(written_ & mask) && !pinned_[reg]) break;
  }
  addresses_ |= static_cast<u16>(bit(reg));
  return reg;
}

bool Builder::spoils(const ZydisDecodedInstruction& in, const ZydisDecodedOperand* operands, u16& written) {
  for (unsigned i = 0; i < in.operand_count; ++i) {
    const auto& operand = operands[i];
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER || !(operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)) continue;
    const auto whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand.reg.value);
    if (ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64)
      written |= static_cast<u16>(bit(static_cast<unsigned>(ZydisRegisterGetId(whole))));
  }
  if (in.mnemonic == ZYDIS_MNEMONIC_POPA || in.mnemonic == ZYDIS_MNEMONIC_POPAD) written = 0xFF;
  if (written & counters_) return true;
  return calm_ && (written & addresses_ & ~bit(RSP)) && random_.percent(95);
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
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD:
      snippet_.any_register_on_fault = true;
      return;
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:  // of what the guest may not have: see Outcome::beyond_guest
      closed_ = true;
      return;
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSD:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_FBSTP:
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
  // A store of unknown length: which part of it faults first is open.
  if (form.of == Class::EvexPacked && form.memory && !form.vsib) snippet_.any_fault_address = true;
  switch (form.of) {
    case Class::String: {
      for (unsigned reg : {RSI, RDI}) pin(reg, data_offset(8, false));
      const u64 count = random_.percent(90) ? random_.below(40) : random_.below(5000);
      if (random_.percent(97)) pin(RCX, count);
      break;
    }
    case Class::Masked:
      if (!form.memory) pin(RDI, data_offset(16, false));
      break;
    case Class::MulDiv:
      // Half of the divisions shall not overflow.
      if (random_.percent(50)) pin(RDX, random_.percent(50) ? 0 : ~u64{0});
      break;
    case Class::Bits:
      break;
    default:
      if (form.mnemonic == ZYDIS_MNEMONIC_XLAT) pin(RBX, data_offset(256, false));
      if (form.mnemonic == ZYDIS_MNEMONIC_LEAVE) pin(RBP, data_offset(8, false));
      if (form.mnemonic == ZYDIS_MNEMONIC_ENTER) pin(RBP, data_offset(8, false));
      break;
  }
}

namespace {

bool jumps_anywhere(const ZydisDecodedInstruction& in, const Form& form) {
  return (in.mnemonic == ZYDIS_MNEMONIC_JMP || in.mnemonic == ZYDIS_MNEMONIC_CALL) && !form.relative;
}

}  // namespace

bool Builder::add(const Form& form) {
  if (snippet_.code.size() > kLongestCode || closed_) return false;
  Bytes bytes;
  std::optional<Target> target;
  const auto pinned = pinned_;
  const auto addresses = addresses_;
  prepare_registers(form);
  const bool built = encode(form, bytes, target);
  ZydisDecodedInstruction in;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  u16 written = 0;
  if (built && ZYAN_SUCCESS(ZydisDecoderDecodeFull(&forms_.decoder(), bytes.data(), bytes.size(), &in, operands)) &&
      in.mnemonic == form.mnemonic && in.length == bytes.size() && !spoils(in, operands, written) &&
      !(knows_code_ && jumps_anywhere(in, form))) {
    written_ |= written;
    jumps_anywhere_ = jumps_anywhere_ || jumps_anywhere(in, form);
    if (target) {
      target->instruction = static_cast<unsigned>(snippet_.starts.size());
      targets_.push_back(*target);
    }
    if (form.mnemonic == ZYDIS_MNEMONIC_LDMXCSR || form.mnemonic == ZYDIS_MNEMONIC_VLDMXCSR) {
      const u64 at = last_offset_ + data_base(snippet_.mode) - kData;
      if (at + 4 <= sizeof(Data) && random_.percent(90)) {
        const u64 value = random_.next();
        snippet_.patches.push_back(
            {static_cast<u32>(at),
             {static_cast<u8>(value), static_cast<u8>(value >> 8 | (random_.percent(60) ? 0x1F : 0)), 0, 0}});
      }
    }
    append(bytes);
    note_looseness(form.mnemonic);
    return true;
  }
  pinned_ = pinned;
  addresses_ = addresses;
  return false;
}

Snippet Builder::finish() {
  const auto end = static_cast<unsigned>(snippet_.code.size());
  for (const Target& target : targets_) {
    // Forward only: the end, or any instruction after the branch.
    const auto count = static_cast<unsigned>(snippet_.starts.size());
    const unsigned first = target.instruction + 1;
    const unsigned choice = first + static_cast<unsigned>(random_.below(count - std::min(first, count) + 1));
    const unsigned to = choice >= count ? end : snippet_.starts[choice];
    const u64 value =
        target.absolute ? snippet_.start - code_base(snippet_.mode) + to : u64{to} - (target.at + target.size);
    std::memcpy(snippet_.code.data() + target.at, &value, target.size);
  }

  State& state = snippet_.state;
  for (unsigned i = 0; i < registers(); ++i) {
    const u64 value = random_.percent(15) ? data_offset(8, false) : random_.integer();
    state.regs.gpr[i] = pinned_[i] ? *pinned_[i] : code64() ? value : static_cast<u32>(value);
  }
  state.regs.rip = snippet_.start - code_base(snippet_.mode);
  state.regs.rflags =
      rflags::Fixed1 | rflags::IF | (random_.next() & rflags::kStatus) | (random_.percent(20) ? rflags::DF : 0);

  FpuState& fpu = state.fpu;
  fpu.mxcsr = 0x1F80;
  if (random_.percent(50)) fpu.mxcsr |= static_cast<u32>(random_.next() & 0xE07F);
  if (random_.percent(15) && !calm_) fpu.mxcsr &= ~(static_cast<u32>(random_.next()) & 0x1F80);
  fpu.fcw = random_.percent(50) ? 0x37F : static_cast<u16>(0x7F | (random_.next() & 0xF00));
  if (random_.percent(15) && !calm_) fpu.fcw &= static_cast<u16>(~(random_.next() & 0x3F));
  fpu.fsw = static_cast<u16>(random_.next() & 0x7F7F);
  if (random_.percent(90)) fpu.fsw &= static_cast<u16>(~(~fpu.fcw & 0x3F));
  if (fpu.fsw & ~fpu.fcw & 0x3F) fpu.fsw |= 0x8080;
  fpu.ftw = random_.percent(60) ? static_cast<u8>(random_.next()) : random_.pick<u8>({0, 0xFF});
  for (auto& st : fpu.st) {
    u8 value[10];
    random_.float80(value);
    std::memcpy(st.data(), value, 10);
  }
  for (u64& mask : fpu.opmask) mask = random_.opmask();
  for (unsigned i = 0; i < 32; ++i) {
    u8* at = fpu.zmm[i].data();
    random_.vector(at, 64);
    if (!index_vector_[i]) continue;
    for (unsigned k = 0; k < 64; k += wide_index_[i] ? 8 : 4) {
      const i64 small = random_.between(-40, 40);
      std::memcpy(at + k, &small, wide_index_[i] ? 8 : 4);
    }
  }
  return std::move(snippet_);
}

}  // namespace vireo::diff
