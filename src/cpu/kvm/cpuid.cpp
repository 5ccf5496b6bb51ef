#include "cpu/kvm/cpuid.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>

#include "base/bits.h"
#include "cpu/kvm/abi.h"

namespace vireo::cpu::kvm {
namespace {

using vm::x86::CpuidLeaf;
using vm::x86::CpuidTable;

/// KVM_MAX_CPUID_ENTRIES of the kernel.
constexpr u32 kMostEntries = 256;
constexpr u32 kXsaveHeaderEnd = 576;

/// A register of feature bits; `ours` are those that do not depend on the host's KVM: topology, which the machine
/// decides, and what the kernel sets by itself.
struct FeatureWord {
  u32 leaf, subleaf;
  u32 CpuidLeaf::* word;
  u64 ours;
};
constexpr u64 kHypervisor = bit(31), kOsxsave = bit(27), kX2apic = bit(21), kHtt = bit(28), kApic = bit(9),
              kOspke = bit(4);
constexpr u64 kCmpLegacy = bit(1), kTopoext = bit(22);
constexpr FeatureWord kFeatureWords[] = {
    {1, 0, &CpuidLeaf::ecx, kHypervisor | kOsxsave | kX2apic},
    {1, 0, &CpuidLeaf::edx, kHtt | kApic},
    {6, 0, &CpuidLeaf::eax, 0},
    {7, 0, &CpuidLeaf::ebx, 0},
    {7, 0, &CpuidLeaf::ecx, kOspke},
    {7, 0, &CpuidLeaf::edx, 0},
    {7, 1, &CpuidLeaf::eax, 0},
    {0xD, 0, &CpuidLeaf::eax, 0},
    {0xD, 0, &CpuidLeaf::edx, 0},
    {0xD, 1, &CpuidLeaf::eax, 0},
    {0xD, 1, &CpuidLeaf::ecx, 0},
    {0xD, 1, &CpuidLeaf::edx, 0},
    {0x80000001, 0, &CpuidLeaf::ecx, kCmpLegacy | kTopoext},
    {0x80000001, 0, &CpuidLeaf::edx, kApic},
    {0x80000007, 0, &CpuidLeaf::edx, 0},
    {0x80000008, 0, &CpuidLeaf::ebx, 0},
    {0x80000021, 0, &CpuidLeaf::eax, 0},
    {0x40000001, 0, &CpuidLeaf::eax, 0},
};

/// State components that are not in XCR0's possible values have no size; where the others are in memory is the
/// hardware's to say.
void place_components(CpuidTable& table, const CpuidTable& supported) {
  const auto* xsave = table.find(0xD, 0);
  const u64 components = xsave == nullptr ? 0 : xsave->eax | u64{xsave->edx} << 32;
  std::erase_if(table.leaves, [components](const CpuidLeaf& leaf) {
    return leaf.leaf == 0xD && leaf.subleaf >= 2 && (leaf.subleaf > 63 || (components >> leaf.subleaf & 1) == 0);
  });
  u32 end = kXsaveHeaderEnd;
  for (auto& leaf : table.leaves) {
    if (leaf.leaf != 0xD || leaf.subleaf < 2) continue;
    const auto* host = supported.find(0xD, leaf.subleaf);
    if (host != nullptr && host->subleaf_matters && host->eax != 0) {
      leaf.eax = host->eax, leaf.ebx = host->ebx, leaf.ecx = host->ecx;
    }
    end = std::max(end, leaf.ebx + leaf.eax);
  }
  for (auto& leaf : table.leaves) {
    if (leaf.leaf == 0xD && leaf.subleaf == 0) leaf.ecx = end;
  }
}

}  // namespace

Result<CpuidTable> supported_cpuid(int fd) {
  abi::Array<kvm_cpuid_entry2> entries(kMostEntries);
  if (::ioctl(fd, abi::GetSupportedCpuid, entries.data()) != 0)
    return fail_errno(errno, "KVM does not tell which CPUID leaves it supports");
  CpuidTable table;
  for (u32 i = 0; i < entries.count(); ++i) {
    const auto& entry = entries[i];
    table.leaves.push_back({.leaf = entry.function,
                            .subleaf = entry.index,
                            .subleaf_matters = (entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0,
                            .eax = entry.eax,
                            .ebx = entry.ebx,
                            .ecx = entry.ecx,
                            .edx = entry.edx});
  }
  return table;
}

CpuidTable intersect(const CpuidTable& wanted, const CpuidTable& supported) {
  CpuidTable table = wanted;
  for (auto& leaf : table.leaves) {
    for (const auto& feature : kFeatureWords) {
      if (leaf.leaf != feature.leaf || (leaf.subleaf_matters ? leaf.subleaf : 0) != feature.subleaf) continue;
      const auto* host = supported.find(feature.leaf, feature.subleaf);
      leaf.*feature.word &= static_cast<u32>(feature.ours) | (host == nullptr ? 0 : host->*feature.word);
    }
    // MAXPHYADDR: the kernel cannot map what the host cannot address.
    if (leaf.leaf == 0x80000008) {
      const auto* host = supported.find(0x80000008, 0);
      if (host != nullptr && (host->eax & 0xFF) != 0)
        leaf.eax = (leaf.eax & ~u32{0xFF}) | std::min(leaf.eax & 0xFF, host->eax & 0xFF);
    }
  }
  place_components(table, supported);
  return table;
}

Result<> set_cpuid(int fd, const CpuidTable& table) {
  if (table.leaves.size() > kMostEntries)
    return fail(ErrorKind::Failed, "the CPUID table has {} leaves, KVM takes {}", table.leaves.size(), kMostEntries);
  abi::Array<kvm_cpuid_entry2> entries(static_cast<u32>(table.leaves.size()));
  for (u32 i = 0; i < entries.count(); ++i) {
    const auto& leaf = table.leaves[i];
    auto& entry = entries[i];
    entry.function = leaf.leaf;
    entry.index = leaf.subleaf_matters ? leaf.subleaf : 0;
    entry.flags = leaf.subleaf_matters ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    entry.eax = leaf.eax;
    entry.ebx = leaf.ebx;
    entry.ecx = leaf.ecx;
    entry.edx = leaf.edx;
  }
  if (::ioctl(fd, abi::SetCpuid2, entries.data()) != 0) return fail_errno(errno, "KVM does not take the CPU model");
  return {};
}

}  // namespace vireo::cpu::kvm
