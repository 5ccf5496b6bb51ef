// CPUID: the fixed table, and the few bits that mirror run-time state.
#include "cpu/interp/system.h"
#include "cpu/x86/xsave.h"
#include "vm/x86/msr.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr u32 kOsxsave = bit(27), kApic = bit(9);
constexpr u64 kApicEnable = bit(11);

/// Bytes of an XSAVE image with all that XCR0 enables.
u32 image_size(const Cpu& cpu, bool compacted) {
  const auto layout = x86::XsaveLayout::from(cpu.cpuid);
  if (!compacted) return layout.size(cpu.sys.xcr0);
  u32 size = x86::kXsaveHeaderEnd;
  for (unsigned i = 2; i < x86::kXsaveComponents; ++i) {
    if (!(cpu.sys.xcr0 & bit(i))) continue;
    if (layout.component[i].aligned) size = static_cast<u32>(align_up(size, 64));
    size += layout.component[i].size;
  }
  return size;
}

void patch(const Cpu& cpu, u32 leaf, u32 subleaf, CpuidLeaf& out) {
  switch (leaf) {
    case 1:
      if (cpu.sys.cr4 & cr4::OSXSAVE) out.ecx |= kOsxsave;
      [[fallthrough]];
    case 0x80000001: {
      u64 base = 0;
      if (cpu.apic.read_msr(msr::IA32_APIC_BASE, base) && !(base & kApicEnable)) out.edx &= ~kApic;
      break;
    }
    case 0xD:
      if (out.eax != 0 && subleaf <= 1) out.ebx = image_size(cpu, subleaf == 1);
      break;
    default:
      break;
  }
}

}  // namespace

void cpuid(Cpu& cpu, const Insn&) {
  const u32 leaf = cpu.reg<u32>(RAX * 8), subleaf = cpu.reg<u32>(RCX * 8);
  CpuidLeaf out;
  if (const CpuidLeaf* found = cpu.cpuid.find(leaf, subleaf)) {
    out = *found;
    patch(cpu, leaf, subleaf, out);
  } else if (leaf == 0xB && cpu.cpuid.find(leaf, 0) != nullptr) {
    // Levels past the last say so, and still name the APIC id (SDM 2A CPUID leaf 0BH).
    out.ecx = subleaf & 0xFF;
    out.edx = cpu.cpuid.find(leaf, 0)->edx;
  }
  cpu.r[RAX] = out.eax;
  cpu.r[RBX] = out.ebx;
  cpu.r[RCX] = out.ecx;
  cpu.r[RDX] = out.edx;
}

}  // namespace vireo::cpu::interp
