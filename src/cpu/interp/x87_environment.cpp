// FLDENV, FNSTENV, FRSTOR, FNSAVE: the four formats of the x87 environment (SDM 1 8.1.10, figures 8-9 to 8-12).
#include "cpu/interp/fpu_state.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr unsigned kRegisterBytes = 80;
constexpr unsigned kLargestImage = 28 + kRegisterBytes;

struct Format {
  bool wide = false;  ///< 28 bytes, else 14
  bool real = false;  ///< linear addresses instead of selectors: real and virtual-8086 mode
  unsigned size() const { return wide ? 28 : 14; }
};

Format format_of(const Cpu& cpu, const Insn& insn) { return {insn.imm != 2, !cpu.protected_mode() || cpu.v86()}; }

/// Tag of one register: 0 valid, 1 zero, 2 special, 3 empty.
unsigned tag_of(const std::array<u8, 16>& st, bool empty) {
  if (empty) return 3;
  const u64 mantissa = load<u64>(st.data());
  const unsigned exponent = load<u16>(st.data() + 8) & 0x7FFF;
  if (exponent == 0) return mantissa == 0 ? 1 : 2;
  if (exponent == 0x7FFF || !(mantissa & bit(63))) return 2;
  return 0;
}

u16 full_tags(const FpuState& fpu) {
  const unsigned top = (fpu.fsw >> 11) & 7;
  unsigned tags = 0;
  for (unsigned i = 0; i < 8; ++i) tags |= tag_of(fpu.st[(i - top) & 7], !(fpu.ftw & bit(i))) << (2 * i);
  return static_cast<u16>(tags);
}

u8 abridged_tags(u16 tags) {
  unsigned result = 0;
  for (unsigned i = 0; i < 8; ++i) {
    if (((tags >> (2 * i)) & 3) != 3) result |= 1u << i;
  }
  return static_cast<u8>(result);
}

void store_environment(const FpuState& fpu, Format format, u8* to) {
  const auto fip = static_cast<u32>(format.real ? fpu.fip + u64{fpu.fcs} * 16 : fpu.fip);
  const auto fdp = static_cast<u32>(format.real ? fpu.fdp + u64{fpu.fds} * 16 : fpu.fdp);
  if (format.wide) {
    store<u32>(to, 0xFFFF0000u | fpu.fcw);
    store<u32>(to + 4, 0xFFFF0000u | fpu.fsw);
    store<u32>(to + 8, 0xFFFF0000u | full_tags(fpu));
    store<u32>(to + 12, format.real ? 0xFFFF0000u | (fip & 0xFFFF) : fip);
    store<u32>(to + 16, format.real ? (fip >> 16) << 12 | fpu.fop : u32{fpu.fop} << 16 | fpu.fcs);
    store<u32>(to + 20, format.real ? 0xFFFF0000u | (fdp & 0xFFFF) : fdp);
    store<u32>(to + 24, format.real ? (fdp >> 16) << 12 : 0xFFFF0000u | fpu.fds);
    return;
  }
  const u16 words[] = {fpu.fcw,
                       fpu.fsw,
                       full_tags(fpu),
                       static_cast<u16>(fip),
                       format.real ? static_cast<u16>((fip >> 16) << 12 | fpu.fop) : fpu.fcs,
                       static_cast<u16>(fdp),
                       format.real ? static_cast<u16>((fdp >> 16) << 12) : fpu.fds};
  std::memcpy(to, words, sizeof(words));
}

void load_environment(FpuState& fpu, Format format, const u8* from) {
  const unsigned step = format.wide ? 4 : 2;
  const auto field = [&](unsigned i) { return step == 4 ? load<u32>(from + 4 * i) : u32{load<u16>(from + 2 * i)}; };
  x86::set_x87_top(fpu, (field(1) >> 11) & 7);
  fpu.fsw = static_cast<u16>(field(1));
  set_x87_control(fpu, static_cast<u16>(field(0)));
  fpu.ftw = abridged_tags(static_cast<u16>(field(2)));
  fpu.fip = field(3);
  fpu.fdp = field(5);
  fpu.fcs = fpu.fds = 0;
  if (format.real) {
    fpu.fop = field(4) & 0x7FF;
    fpu.fip = (fpu.fip & 0xFFFF) | u64{(field(4) >> 12) & 0xFFFF} << 16;
    fpu.fdp = (fpu.fdp & 0xFFFF) | u64{(field(6) >> 12) & 0xFFFF} << 16;
  } else {
    fpu.fcs = static_cast<u16>(field(4));
    fpu.fds = static_cast<u16>(field(6));
    fpu.fop = format.wide ? (field(4) >> 16) & 0x7FF : 0;
  }
}

u64 address(Cpu& cpu, const Insn& insn, unsigned size, Access access) {
  return cpu.linear(static_cast<Seg>(insn.seg), cpu.effective_address(insn), size, access);
}

void run_fnstenv(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::X87);
  const Format format = format_of(cpu, insn);
  u8 image[kLargestImage];
  store_environment(cpu.fpu, format, image);
  cpu.write_bytes(address(cpu, insn, format.size(), Access::Write), image, format.size(), static_cast<Seg>(insn.seg));
  set_x87_control(cpu.fpu, cpu.fpu.fcw | 0x3F);
}

void run_fldenv(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::X87 | needs::NoPendingX87);
  const Format format = format_of(cpu, insn);
  u8 image[kLargestImage];
  cpu.read_bytes(address(cpu, insn, format.size(), Access::Read), image, format.size(), static_cast<Seg>(insn.seg));
  load_environment(cpu.fpu, format, image);
}

void run_fnsave(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::X87);
  const Format format = format_of(cpu, insn);
  const unsigned size = format.size() + kRegisterBytes;
  u8 image[kLargestImage];
  store_environment(cpu.fpu, format, image);
  for (unsigned i = 0; i < 8; ++i) std::memcpy(image + format.size() + 10 * i, cpu.fpu.st[i].data(), 10);
  cpu.write_bytes(address(cpu, insn, size, Access::Write), image, size, static_cast<Seg>(insn.seg));
  init_x87(cpu.fpu);
}

void run_frstor(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::X87 | needs::NoPendingX87);
  const Format format = format_of(cpu, insn);
  const unsigned size = format.size() + kRegisterBytes;
  u8 image[kLargestImage];
  cpu.read_bytes(address(cpu, insn, size, Access::Read), image, size, static_cast<Seg>(insn.seg));
  load_environment(cpu.fpu, format, image);
  for (unsigned i = 0; i < 8; ++i) std::memcpy(cpu.fpu.st[i].data(), image + format.size() + 10 * i, 10);
}

}  // namespace

Handler x87_environment_handler(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_FNSTENV:
      return run_fnstenv;
    case ZYDIS_MNEMONIC_FLDENV:
      return run_fldenv;
    case ZYDIS_MNEMONIC_FNSAVE:
      return run_fnsave;
    case ZYDIS_MNEMONIC_FRSTOR:
      return run_frstor;
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
