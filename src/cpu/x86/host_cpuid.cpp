#include <cpuid.h>

#include "cpu/x86/cpuid_feature_table.h"
#include "vm/x86/regs.h"

namespace vireo::cpu::x86 {

namespace {

constexpr u32 kOsxsave = bit(27);

u64 read_xcr0() {
  u32 low, high;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return u64{high} << 32 | low;
}

}  // namespace

HostCpuid read_host_cpuid() {
  HostCpuid host;
  constexpr u32 kQueried[][2] = {{1, 0}, {7, 0}, {7, 1}, {0x80000001, 0}, {0xD, 5}};
  for (const auto& [leaf, subleaf] : kQueried) {
    const bool with_subleaves = leaf == 7 || leaf == 0xD;
    vm::x86::CpuidLeaf out{.leaf = leaf, .subleaf = subleaf, .subleaf_matters = with_subleaves};
    if (subleaf != 0 && leaf == 7 && host.table.find(7, 0)->eax < subleaf) continue;
    __get_cpuid_count(leaf, subleaf, &out.eax, &out.ebx, &out.ecx, &out.edx);
    host.table.leaves.push_back(out);
  }
  if (!(host.table.find(1, 0)->ecx & kOsxsave)) return host;
  using namespace vm::x86;
  const u64 enabled = read_xcr0();
  constexpr u64 kAvx = xcr0::X87 | xcr0::SSE | xcr0::AVX;
  constexpr u64 kAvx512 = kAvx | xcr0::kAvx512;
  host.avx_state = (enabled & kAvx) == kAvx;
  host.avx512_state = (enabled & kAvx512) == kAvx512;
  const bool intel = host.table.find(0xD, 5)->ebx == avx512_offset(XsaveOffsets::Intel, 5);
  host.offsets = intel ? XsaveOffsets::Intel : XsaveOffsets::Amd;
  return host;
}

}  // namespace vireo::cpu::x86
