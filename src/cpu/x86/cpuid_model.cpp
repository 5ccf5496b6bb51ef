#include "cpu/x86/cpuid_model.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "base/bits.h"
#include "base/bytes.h"
#include "cpu/x86/cpuid_feature_table.h"
#include "cpu/x86/paging.h"
#include "vm/x86/regs.h"

namespace vireo::cpu::x86 {

namespace {

using vm::x86::CpuidLeaf;
using vm::x86::CpuidTable;
namespace xcr0 = vm::x86::xcr0;

constexpr u32 kSignature = 0x00800F12;  // family 17h, model 1, stepping 2: no CPPC that a kernel would miss in ACPI
constexpr u32 kLastBasicLeaf = 0xD, kLastExtendedLeaf = 0x80000021, kKvmLeaf = 0x40000000;
constexpr std::string_view kVendor = "AuthenticAMD", kKvmSignature = "KVMKVMKVM";
constexpr unsigned kLineBytes = 64, kVirtualBits = 48;
constexpr u32 kXsaveHeaderEnd = 576;

class Builder {
 public:
  explicit Builder(const CpuidModelOptions& options)
      : options_(options), model_(options.model != nullptr ? *options.model : best_model()) {}

  CpuidLeaf& leaf(u32 number) {
    for (CpuidLeaf& entry : table_.leaves) {
      if (entry.leaf == number && !entry.subleaf_matters) return entry;
    }
    return table_.leaves.emplace_back(CpuidLeaf{.leaf = number});
  }
  CpuidLeaf& leaf(u32 number, u32 subleaf) {
    for (CpuidLeaf& entry : table_.leaves) {
      if (entry.leaf == number && entry.subleaf == subleaf) return entry;
    }
    return table_.leaves.emplace_back(CpuidLeaf{.leaf = number, .subleaf = subleaf, .subleaf_matters = true});
  }

  void features();
  void identity();
  void topology();
  void caches();
  void xsave();
  void paravirt();
  CpuidTable finish() {
    std::ranges::sort(table_.leaves, {}, [](const CpuidLeaf& l) { return (u64{l.leaf} << 32) | l.subleaf; });
    return std::move(table_);
  }

 private:
  bool wants(const FeatureBit& row) const {
    switch (row.needs) {
      case Needs::Software:
        return true;
      case Needs::Host:
      case Needs::HostAvx:
      case Needs::HostAvx512:
        return model_.features.has(row.feature);
      case Needs::Smp:
        return options_.vcpus > 1;
      case Needs::Immune:
        return options_.software;
    }
    return false;
  }
  static bool has_subleaves(u32 number) {
    return number == 4 || number == 7 || number == 0xB || number == 0xD || number == 0x8000001D;
  }

  const CpuidModelOptions& options_;
  const CpuModel& model_;
  CpuidTable table_;
};

void Builder::features() {
  for (const FeatureBit& row : kFeatureBits) {
    CpuidLeaf& entry = has_subleaves(row.leaf) ? leaf(row.leaf, row.subleaf) : leaf(row.leaf);
    if (wants(row)) entry.*row.word |= static_cast<u32>(bit(row.bit));
  }
  leaf(7, 0).eax = 1;  // its last sub-leaf
}

void Builder::identity() {
  for (const u32 number : {0u, 0x80000000u}) {
    CpuidLeaf& vendor = leaf(number);
    vendor.eax = number == 0 ? kLastBasicLeaf : kLastExtendedLeaf;
    vendor.ebx = load<u32>(kVendor.data());
    vendor.edx = load<u32>(kVendor.data() + 4);
    vendor.ecx = load<u32>(kVendor.data() + 8);
  }
  leaf(1).eax = leaf(0x80000001).eax = kSignature;
  char brand[48] = {};
  const std::string text = fmt::format("Vireo {:.36} vCPU", model_.name);
  std::ranges::copy(text, brand);
  for (u32 i = 0; i < 3; ++i) {
    CpuidLeaf& part = leaf(0x80000002 + i);
    part.eax = load<u32>(brand + 16 * i);
    part.ebx = load<u32>(brand + 16 * i + 4);
    part.ecx = load<u32>(brand + 16 * i + 8);
    part.edx = load<u32>(brand + 16 * i + 12);
  }
}

void Builder::topology() {
  const u32 id = options_.vcpu, count = std::max(options_.vcpus, 1u);
  const u32 id_bits = static_cast<u32>(std::bit_width(count - 1));
  leaf(1).ebx = (id << 24) | (std::min(count, 255u) << 16) | ((kLineBytes / 8) << 8);
  leaf(0x80000008).eax = kPhysicalBits | (kVirtualBits << 8);
  leaf(0x80000008).ecx = std::min(count - 1, 255u) | (id_bits << 12);
  leaf(0x8000001E).eax = id;
  leaf(0x8000001E).ebx = id & 0xFF;

  // Levels: 1 thread, 2 core; then the end.
  enum Level : u32 { End, Thread, Core };
  const struct {
    u32 shift, count;
    Level level;
  } levels[] = {{0, 1, Thread}, {id_bits, count, Core}, {0, 0, End}};
  for (u32 i = 0; i < std::size(levels); ++i) {
    CpuidLeaf& entry = leaf(0xB, i);
    entry.eax = levels[i].shift;
    entry.ebx = levels[i].count;
    entry.ecx = i | (u32{levels[i].level} << 8);
    entry.edx = id;
  }
}

void Builder::caches() {
  enum Type : u32 { Data = 1, Instruction = 2, Unified = 3 };
  const struct {
    Type type;
    u32 level, kib, ways, shared_by;
  } caches[] = {{Data, 1, 32, 8, 1},
                {Instruction, 1, 32, 8, 1},
                {Unified, 2, 1024, 8, 1},
                {Unified, 3, 32768, 16, options_.vcpus}};
  for (u32 i = 0; i < std::size(caches); ++i) {
    const auto& cache = caches[i];
    constexpr u32 kSelfInitialising = bit(8);
    CpuidLeaf& entry = leaf(0x8000001D, i);
    entry.eax = cache.type | (cache.level << 5) | kSelfInitialising | ((std::max(cache.shared_by, 1u) - 1) << 14);
    entry.ebx = (kLineBytes - 1) | ((cache.ways - 1) << 22);
    entry.ecx = cache.kib * 1024 / (cache.ways * kLineBytes) - 1;
  }
  leaf(0x8000001D, std::size(caches));
  // Legacy descriptions of the same (APM 3 E.4.4, E.4.5): KiB, associativity, lines per tag, line size; TLB entries.
  leaf(0x80000005).ecx = leaf(0x80000005).edx = (32u << 24) | (8u << 16) | (1u << 8) | kLineBytes;
  leaf(0x80000005).eax = leaf(0x80000005).ebx = 0xFF40FF40;
  leaf(0x80000006).ecx = (1024u << 16) | (6u << 12) | (1u << 8) | kLineBytes;
  leaf(0x80000006).edx = (64u << 18) | (8u << 12) | (1u << 8) | kLineBytes;
  leaf(0x80000006).eax = leaf(0x80000006).ebx = 0x62006200;
}

void Builder::xsave() {
  CpuidLeaf all{.leaf = 0xD, .subleaf = 0, .subleaf_matters = true, .eax = xcr0::X87 | xcr0::SSE};
  all.ecx = kXsaveHeaderEnd;
  const auto component = [&](unsigned number, u32 offset, u32 size) {
    CpuidLeaf& entry = leaf(0xD, number);
    entry.eax = size;
    entry.ebx = offset;
    all.eax |= static_cast<u32>(bit(number));
    all.ecx = std::max(all.ecx, offset + size);
  };
  if (model_.features.has(Feature::AVX)) component(2, kXsaveHeaderEnd, 16 * 16);
  if (model_.features.has(Feature::AVX512F)) {
    constexpr u32 kSizes[] = {8 * 8, 16 * 32, 16 * 64};
    for (unsigned i = 5; i <= 7; ++i) component(i, avx512_offset(model_.offsets, i), kSizes[i - 5]);
  }
  all.ebx = kXsaveHeaderEnd;  // for XCR0 after reset; engines follow XCR0
  leaf(0xD, 0) = all;
}

void Builder::paravirt() {
  if (options_.paravirt_features == 0) return;
  char signature[12] = {};
  std::ranges::copy(kKvmSignature, signature);
  CpuidLeaf& first = leaf(kKvmLeaf);
  first.eax = kKvmLeaf + 1;
  first.ebx = load<u32>(signature);
  first.ecx = load<u32>(signature + 4);
  first.edx = load<u32>(signature + 8);
  leaf(kKvmLeaf + 1).eax = options_.paravirt_features;
}

}  // namespace

CpuidTable make_cpuid(const CpuidModelOptions& options) {
  Builder builder(options);
  builder.features();
  builder.identity();
  builder.topology();
  builder.caches();
  builder.xsave();
  builder.paravirt();
  return builder.finish();
}

}  // namespace vireo::cpu::x86
