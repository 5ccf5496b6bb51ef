#include "compare.h"

#include "guest.h"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <cstring>

#include "base/bits.h"
#include "base/bytes.h"
#include "forms.h"

namespace vireo::diff {

using namespace vm::x86;

namespace {

constexpr const char* kGpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr u64 kFlags = rflags::kStatus | rflags::DF;
constexpr u8 kStackFault = 12, kGeneralProtection = 13, kPageFault = 14;
constexpr u64 kTaskSize = 0x7FFF'FFFF'F000;  // Linux's, with 4-level paging
constexpr u16 kErrorSummary = 0x80;
constexpr u64 kPointer = bit(48) - 1;  // what is not canonical is cut

bool is_canonical(u64 address) { return sign_extend(address & kPointer, 6) == address; }

std::string hex(const u8* bytes, unsigned size) {
  std::string out;
  for (unsigned i = size; i-- > 0;) out += fmt::format("{:02x}", bytes[i]);
  return out;
}

class Report {
 public:
  void value(std::string_view what, u64 host, u64 guest) {
    if (host != guest) lines_ += fmt::format("  {}: host {:x}, guest {:x}\n", what, host, guest);
  }
  void bytes(std::string_view what, const u8* host, const u8* guest, unsigned size) {
    if (std::memcmp(host, guest, size) == 0) return;
    lines_ +=
        fmt::format("  {}: host {}\n  {:>{}}  guest {}\n", what, hex(host, size), "", what.size(), hex(guest, size));
  }
  std::string take() { return std::move(lines_); }

 private:
  std::string lines_;
};

bool is_ignored(const Snippet& snippet, u64 offset) {
  for (const auto& range : snippet.ignored) {
    if (offset - range.offset < range.size) return true;
  }
  return false;
}

void compare_data(const Snippet& snippet, const u8* host, const u8* guest, Report& report) {
  if (std::memcmp(host, guest, sizeof(Data)) == 0) return;
  unsigned shown = 0;
  for (u64 at = 0; at < sizeof(Data) && shown < 8; at += 8) {
    if (std::memcmp(host + at, guest + at, 8) == 0) continue;
    for (u64 i = at; i < at + 8; ++i) {
      if (host[i] == guest[i] || is_ignored(snippet, i)) continue;
      report.value(fmt::format("memory [{:x}]", kData + at), load<u64>(host + at), load<u64>(guest + at));
      ++shown;
      break;
    }
  }
}

void compare_x87(const FpuState& host, const FpuState& guest, Report& report) {
  report.value("fcw", host.fcw, guest.fcw);
  report.value("fsw", host.fsw, guest.fsw);
  report.value("ftw", host.ftw, guest.ftw);
  if (host.fsw & kErrorSummary) {  // AMD keeps the pointers for reported exceptions only
    report.value("fop", host.fop, guest.fop);
    report.value("fip", host.fip & kPointer, guest.fip & kPointer);
    report.value("fdp", host.fdp & kPointer, guest.fdp & kPointer);
  }
  for (unsigned i = 0; i < 8; ++i) report.bytes(fmt::format("st{}", i), host.st[i].data(), guest.st[i].data(), 10);
}

void compare_fpu(const FpuState& host, const FpuState& guest, bool x87, Report& report) {
  if (x87) compare_x87(host, guest, report);
  report.value("mxcsr", host.mxcsr, guest.mxcsr);
  for (unsigned i = 0; i < 32; ++i) {
    report.bytes(fmt::format("zmm{}", i), host.zmm[i].data(), guest.zmm[i].data(), 64);
  }
  for (unsigned i = 0; i < 8; ++i) report.value(fmt::format("k{}", i), host.opmask[i], guest.opmask[i]);
}

}  // namespace

std::string compare(const Snippet& snippet, const Outcome& host, const Outcome& guest, const u8* host_data,
                    const u8* guest_data) {
  if (host.beyond_guest) return {};
  if (snippet.late_canonical_check && host.vector == kGeneralProtection && guest.vector == kGeneralProtection &&
      !is_canonical(guest.state.regs.rip))
    return {};
  Report report;
  const auto at_memory = [](u8 vector) { return vector >= kStackFault && vector <= kPageFault; };
  if (!(snippet.any_fault_address && at_memory(host.vector) && at_memory(guest.vector))) {
    report.value("vector", host.vector, guest.vector);
  }
  if (host.vector == guest.vector) {
    // Linux reports faults at kernel addresses as protection violations, and not where.
    const bool kernel_address = host.vector == kPageFault && guest.address >= kTaskSize;
    if (!kernel_address && !snippet.any_fault_address) report.value("error code", host.error, guest.error);
    if (host.vector == kPageFault && !snippet.any_fault_address)
      report.value("fault address", host.address, guest.address);
  }
  const unsigned registers = snippet.mode == Mode::Bits64 ? 16 : 8;
  for (unsigned i = 0; i < registers; ++i) {
    // An exception from a 16-bit stack loses the upper half of ESP on the way back (Linux,
    // arch/x86/kernel/espfix_64.c).
    if (snippet.any_register_on_fault && at_memory(host.vector)) continue;
    const u64 mask = snippet.mode == Mode::Bits16 && i == RSP ? 0xFFFF : ~u64{0};
    report.value(kGpr[i], host.state.regs.gpr[i] & mask, guest.state.regs.gpr[i] & mask);
  }
  report.value("rip", host.state.regs.rip, guest.state.regs.rip);
  const bool ran_through = host.vector == 3 && guest.vector == 3;
  const u64 open = snippet.any_flags_on_fault && !ran_through ? u64{rflags::kStatus} : snippet.any_flags;
  const u64 flags = kFlags & ~open;
  report.value("rflags", host.state.regs.rflags & flags, guest.state.regs.rflags & flags);
  compare_fpu(host.state.fpu, guest.state.fpu, !(snippet.any_mmx_on_fault && at_memory(host.vector)), report);
  compare_data(snippet, host_data, guest_data, report);
  std::string lines = report.take();
  if (snippet.save_area) {
    // The host may save components that only happen to be in their initial state; and restore what only it has.
    const u8 host_saved = host_data[*snippet.save_area + 512], guest_saved = guest_data[*snippet.save_area + 512];
    static const u32 components = guest_cpuid().find(0xD, 0)->eax;
    const bool saved_more = host_saved != guest_saved && !(guest_saved & ~host_saved);
    if (saved_more || (host_saved & ~components)) return {};
  }
  if (!lines.empty()) lines += fmt::format("  host ended by #{} at {:x}\n", host.vector, host.state.regs.rip);
  return lines;
}

std::string describe(const Snippet& snippet) {
  const ZydisDecoder decoder = make_decoder(snippet.mode);
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  constexpr unsigned widths[] = {64, 32, 16};
  std::string out = fmt::format("{}-bit code\n", widths[static_cast<u8>(snippet.mode)]);
  for (u64 at = 0; at < snippet.code.size();) {
    ZydisDecodedInstruction in;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    char text[128];
    const u64 address = snippet.state.regs.rip + at;
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder, snippet.code.data() + at, snippet.code.size() - at, &in, operands)) ||
        !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &in, operands, in.operand_count_visible, text,
                                                      sizeof(text), address, nullptr))) {
      out += fmt::format("  {:x}: ?\n", address);
      break;
    }
    std::string bytes;
    for (unsigned i = 0; i < in.length; ++i) bytes += fmt::format("{:02x} ", snippet.code[at + i]);
    out += fmt::format("  {:x}: {:<36}{}\n", address, bytes, text);
    at += in.length;
  }
  const auto& state = snippet.state;
  for (unsigned i = 0; i < 16; ++i)
    out += fmt::format("  {}={:x}{}", kGpr[i], state.regs.gpr[i], i % 4 == 3 ? "\n" : "");
  out += fmt::format("  rflags={:x} mxcsr={:x} fcw={:x} fsw={:x} ftw={:x}\n", state.regs.rflags, state.fpu.mxcsr,
                     state.fpu.fcw, state.fpu.fsw, state.fpu.ftw);
  for (unsigned i = 0; i < 8; ++i) out += fmt::format("  k{}={:x}{}", i, state.fpu.opmask[i], i == 7 ? "\n" : "");
  return out;
}

}  // namespace vireo::diff
