// cpuid_features.inc as a table, and what the host's own CPUID says about its rows.
#pragma once

#include "cpu/x86/cpu_models.h"

namespace vireo::cpu::x86 {

enum class Needs : u8 { Software, Host, HostAvx, HostAvx512, Smp, Immune };

struct FeatureBit {
  Feature feature;
  const char* name;
  u32 leaf, subleaf;
  u32 vm::x86::CpuidLeaf::* word;
  unsigned bit;
  Needs needs;
};
inline constexpr FeatureBit kFeatureBits[] = {
#define X(leaf, subleaf, word, bit, name, needs) \
  {Feature::name, #name, leaf, subleaf, &vm::x86::CpuidLeaf::word, bit, Needs::needs},
#include "cpu/x86/cpuid_features.inc"
#undef X
};

struct HostCpuid {
  vm::x86::CpuidTable table;                     ///< the leaves with features
  bool avx_state = false, avx512_state = false;  ///< enabled by the host's system
  XsaveOffsets offsets = XsaveOffsets::Amd;
};
/// Asks the CPU, which may cost microseconds a leaf.
HostCpuid read_host_cpuid();

}  // namespace vireo::cpu::x86
