#include "vmm/registers.h"

#include <fmt/format.h>

namespace vireo::vmm {
namespace {

using namespace vm::x86;

const char* mode_name(const CpuState& state) {
  const auto& sys = state.sys;
  if ((sys.cr0 & cr0::PE) == 0) return "real mode";
  if ((state.regs.rflags & rflags::VM) != 0) return "virtual-8086 mode";
  if ((sys.efer & efer::LMA) != 0) return sys.segment[CS].l() ? "64-bit mode" : "compatibility mode";
  return sys.segment[CS].db() ? "32-bit protected mode" : "16-bit protected mode";
}

}  // namespace

std::string describe_registers(const CpuState& state) {
  const auto& [gpr, rip, rflags] = state.regs;
  const auto& sys = state.sys;
  std::string text;
  auto out = std::back_inserter(text);
  fmt::format_to(out, "  {}, RIP={:016x} RFLAGS={:08x} CPL={}\n", mode_name(state), rip, rflags, sys.segment[SS].dpl());
  constexpr const char* kNames[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                    "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
  for (unsigned i = 0; i < gpr.size(); ++i) {
    fmt::format_to(out, "{}{}={:016x}", i % 4 == 0 ? "  " : " ", kNames[i], gpr[i]);
    if (i % 4 == 3) text += '\n';
  }
  constexpr const char* kSegmentNames[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
  for (unsigned i = 0; i < sys.segment.size(); ++i) {
    const auto& s = sys.segment[i];
    fmt::format_to(out, "{}{}={:04x} {:016x} {:08x} {:05x}", i % 2 == 0 ? "  " : "  ", kSegmentNames[i], s.selector,
                   s.base, s.limit, s.attributes);
    if (i % 2 == 1) text += '\n';
  }
  fmt::format_to(out, "  GDTR={:016x} {:04x}  IDTR={:016x} {:04x}\n", sys.gdtr.base, sys.gdtr.limit, sys.idtr.base,
                 sys.idtr.limit);
  fmt::format_to(out, "  CR0={:08x} CR2={:016x} CR3={:016x} CR4={:08x} EFER={:04x}", sys.cr0, sys.cr2, sys.cr3, sys.cr4,
                 sys.efer);
  return text;
}

}  // namespace vireo::vmm
