// Sequences that single random instructions would hardly ever form.
#include "base/bits.h"
#include "builder.h"

namespace vireo::diff {

using namespace vm::x86;

/// What is the host's own affair in a save area at `offset` of the data pages.
void Builder::keep_exchange_comparable(u64 offset) {
  const auto at = [offset](unsigned byte) { return static_cast<u32>(offset + byte); };
  // Pointers that are not canonical are cut somewhere.
  snippet_.patches.push_back({at(14), {0, 0}});
  snippet_.patches.push_back({at(22), {0, 0}});
  snippet_.any_fault_address = true;
  snippet_.save_area = static_cast<u32>(offset);
  snippet_.ignored.push_back({at(28), 4});  // MXCSR_MASK says what the host has
  snippet_.patches.push_back({at(24), {0x80, static_cast<u8>(random_.next()), 0, 0}});
}

u8 Builder::random_components() {
  const u64 any = random_.below(8);
  return static_cast<u8>(forms_.avx512() && random_.percent(70) ? any | (random_.next() & xcr0::kAvx512) : any);
}

void Builder::add_state_exchange() {
  if (snippet_.code.size() > kLongestCode - 60 || closed_) return;
  if (counters_ & (bit(RAX) | bit(RDX) | bit(RBX))) return;
  closed_ = true;  // what is host-specific in the image must not travel further
  const u64 offset =
      256 + align_down(random_.below(kDataSize - 3072), 64) + (random_.percent(95) ? 0 : random_.below(64));
  keep_exchange_comparable(offset);
  const bool wide = code64() && random_.percent(70);
  snippet_.starts.push_back(static_cast<u8>(snippet_.code.size()));  // one instruction: nobody may jump into it
  auto& code = snippet_.code;
  const auto load_integer = [&](unsigned reg, u64 value) {
    if (snippet_.mode == Mode::Bits16) code.push_back(0x66);
    code.push_back(static_cast<u8>(0xB8 | reg));
    for (unsigned i = 0; i < 4; ++i) code.push_back(static_cast<u8>(value >> (8 * i)));
  };
  const auto memory = [&](u8 opcode, unsigned digit) {  // [rbx] or [bx]
    if (wide) code.push_back(0x48);
    code.push_back(0x0F);
    code.push_back(opcode);
    code.push_back(static_cast<u8>(digit << 3 | (snippet_.mode == Mode::Bits16 ? 7u : 3u)));
  };
  load_integer(RBX, kData + offset - data_base(snippet_.mode));
  load_integer(RDX, 0);
  load_integer(RAX, random_components());
  switch (random_.below(5)) {
    case 0:
      memory(0xAE, 0);  // FXSAVE, FNINIT, FXRSTOR
      if (random_.percent(50)) {
        code.insert(code.end(), {0xDB, 0xE3});
        memory(0xAE, 1);
      }
      return;
    case 1:
      memory(0xAE, 1);  // FXRSTOR of random data
      return;
    default:
      break;
  }
  // A header that is not all garbage: XRSTOR checks it and XSAVE merges into it.
  Bytes header(64);
  header[0] = random_components();
  if (random_.percent(5)) header[1 + random_.below(23)] = 1;
  if (random_.percent(3)) header[0] |= 8;
  snippet_.patches.push_back({static_cast<u32>(offset + 512), header});
  const u64 kind = random_.below(4);
  if (kind == 0) {
    memory(0xAE, 5);  // XRSTOR
    return;
  }
  // XINUSE may be more than what differs from the initial values: XSTATE_BV after a save is the host's own affair.
  snippet_.ignored.push_back({static_cast<u32>(offset + 512), 1});
  if (kind == 1) {
    memory(0xAE, 4);  // XSAVE
  } else if (kind == 2) {
    memory(0xC7, 4);  // XSAVEC
  } else {
    memory(0xAE, 6);  // XSAVEOPT
  }
  if (random_.percent(60)) {
    load_integer(RAX, random_components());
    memory(0xAE, 5);
  }
}

void Builder::add_indirect_branch() {
  if (snippet_.code.size() > kLongestCode - 40 || closed_ || jumps_anywhere_) return;
  knows_code_ = true;
  const unsigned reg = random_.pick<unsigned>({RAX, RCX, RDX, RBX, RSI, RDI});
  if (counters_ & bit(reg)) return;
  const unsigned size = snippet_.mode == Mode::Bits16 ? 2 : 4;
  targets_.push_back({.instruction = static_cast<unsigned>(snippet_.starts.size()),
                      .at = static_cast<unsigned>(snippet_.code.size()) + 1,
                      .size = size,
                      .absolute = true});
  Bytes bytes{static_cast<u8>(0xB8 | reg)};  // MOV reg, target: fixed up in finish
  bytes.resize(1 + size);
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
  written_ |= static_cast<u16>(bit(reg) | bit(RSP));
}

void Builder::add_call() {
  if (snippet_.code.size() > kLongestCode - 40 || closed_ || jumps_anywhere_ || !code64()) return;
  knows_code_ = true;
  const auto reg = static_cast<u8>(random_.pick<unsigned>({RAX, RCX, RDX, RBX, RSI, RDI}));
  Bytes bytes;
  switch (random_.below(counters_ & bit(reg) ? 3 : 4)) {
    case 0:  // CALL f; JMP behind; f: RET
      bytes = {0xE8, 2, 0, 0, 0, 0xEB, 1, 0xC3};
      break;
    case 1:  // to somewhere else than the call: CALL f; NOP; JMP behind; f: INC QWORD [RSP]; RET
      bytes = {0xE8, 3, 0, 0, 0, 0x90, 0xEB, 5, 0x48, 0xFF, 0x04, 0x24, 0xC3};
      break;
    case 2:  // CALL f; JMP behind; f: CALL g; g: RET, twice
      bytes = {0xE8, 2, 0, 0, 0, 0xEB, 6, 0xE8, 0, 0, 0, 0, 0xC3};
      break;
    default:  // without RET: CALL f; JMP behind; f: POP reg; JMP reg
      bytes = {0xE8, 2, 0, 0, 0, 0xEB, 3, static_cast<u8>(0x58 | reg), 0xFF, static_cast<u8>(0xE0 | reg)};
      written_ |= static_cast<u16>(bit(reg));
      break;
  }
  append(bytes);
}

/// DEC counter; JG back. Nothing else writes the counter, and it goes down for good: whatever encloses the loop ends
/// too.
void Builder::add_loop() {
  if (closed_ || snippet_.starts.empty()) return;
  const auto counter = static_cast<unsigned>(random_.below(registers()));
  if (pinned_[counter] || ((written_ | addresses_) & bit(counter))) return;
  const unsigned to = snippet_.starts[random_.below(snippet_.starts.size())];
  Bytes bytes;
  if (code64()) bytes.push_back(static_cast<u8>(0x48 | counter >> 3));
  bytes.push_back(0xFF);
  bytes.push_back(static_cast<u8>(0xC8 | (counter & 7)));
  const i64 distance = static_cast<i64>(to) - static_cast<i64>(snippet_.code.size() + bytes.size() + 2);
  if (distance < -128) return;
  bytes.push_back(0x7F);
  bytes.push_back(static_cast<u8>(distance));
  pin(counter, random_.below(6));
  counters_ |= static_cast<u16>(bit(counter));
  append(bytes);
}

void Builder::add_address_step() {
  if (closed_ || addresses_ == 0 || !code64()) return;
  unsigned reg;
  do {
    reg = static_cast<unsigned>(random_.below(16));
  } while (!(addresses_ & bit(reg)));
  const auto rm = static_cast<u8>(reg & 7), b = static_cast<u8>(reg >> 3);
  const i64 amount = random_.percent(70) ? random_.between(-3, 3) * 32 : random_.between(-100, 100);
  const auto imm = static_cast<u8>(amount);
  Bytes bytes;
  switch (random_.below(5)) {
    case 0:  // ADD reg, imm
      bytes = {static_cast<u8>(0x48 | b), 0x83, static_cast<u8>(0xC0 | rm), imm};
      moved_[reg] += static_cast<u64>(amount);
      break;
    case 1:  // SUB
      bytes = {static_cast<u8>(0x48 | b), 0x83, static_cast<u8>(0xE8 | rm), imm};
      moved_[reg] -= static_cast<u64>(amount);
      break;
    case 2:  // INC
      bytes = {static_cast<u8>(0x48 | b), 0xFF, static_cast<u8>(0xC0 | rm)};
      ++moved_[reg];
      break;
    case 3:  // LEA reg, [reg + imm]
      bytes = {static_cast<u8>(0x48 | b | b << 2), 0x8D, static_cast<u8>(0x40 | rm << 3 | rm)};
      if (rm == 4) bytes.push_back(0x24);
      bytes.push_back(imm);
      moved_[reg] += static_cast<u64>(amount);
      break;
    default: {  // MOV other, reg
      const auto other = static_cast<unsigned>(random_.below(16));
      if (pinned_[other] || ((written_ | counters_ | addresses_) & bit(other)) || !pinned_[reg]) return;
      bytes = {static_cast<u8>(0x48 | b << 2 | other >> 3), 0x89, static_cast<u8>(0xC0 | rm << 3 | (other & 7))};
      moved_[other] = *pinned_[reg] + moved_[reg] - pin(other, random_.integer());
      addresses_ |= static_cast<u16>(bit(other));
      break;
    }
  }
  append(bytes);
}

}  // namespace vireo::diff
