// A CPUID table: what the guest is told it runs on. Built by cpu/x86/cpuid_model, used by every engine.
#pragma once

#include <optional>
#include <vector>

#include "base/types.h"

namespace vireo::vm::x86 {

struct CpuidLeaf {
  u32 leaf = 0, subleaf = 0;
  bool subleaf_matters = false;
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

/// The leaves of one vCPU (they differ between vCPUs in APIC ids). Bits that mirror run-time state (OSXSAVE, APIC
/// enable, XSAVE size for XCR0) are patched by the engine when the guest asks.
class CpuidTable {
 public:
  std::vector<CpuidLeaf> leaves;
  /// Exact leaf and subleaf, or nullptr.
  const CpuidLeaf* find(u32 leaf, u32 subleaf) const {
    for (const auto& entry : leaves) {
      if (entry.leaf == leaf && (!entry.subleaf_matters || entry.subleaf == subleaf)) return &entry;
    }
    return nullptr;
  }
};

}  // namespace vireo::vm::x86
