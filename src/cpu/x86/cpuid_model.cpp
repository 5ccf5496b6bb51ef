#include "cpu/x86/cpuid_model.h"

#include <cpuid.h>

#include <algorithm>
#include <bit>
#include <string_view>

#include "base/bits.h"
#include "base/bytes.h"
#include "cpu/x86/paging.h"

namespace vireo::cpu::x86 {

namespace {

using vm::x86::CpuidLeaf;
using vm::x86::CpuidTable;

constexpr u32 kSignature = 0x00800F12;  // family 17h, model 1, stepping 2: no CPPC that a kernel would miss in ACPI
constexpr u32 kLastBasicLeaf = 0xD, kLastExtendedLeaf = 0x80000021, kKvmLeaf = 0x40000000;
constexpr std::string_view kVendor = "AuthenticAMD", kBrand = "Vireo x86-64-v3 vCPU", kKvmSignature = "KVMKVMKVM";
constexpr unsigned kLineBytes = 64, kVirtualBits = 48;
constexpr u64 kXcr0Base = 3, kXcr0Avx = 4;
constexpr u32 kAvxStateOffset = 576, kAvxStateSize = 256;

enum class Needs : u8 { Software, Host, HostAvx, Smp, Immune };

struct Feature {
  u32 leaf, subleaf;
  u32 CpuidLeaf::* word;
  unsigned bit;
  Needs needs;
};
constexpr Feature kFeatures[] = {
#define X(leaf, subleaf, word, bit, name, needs) {leaf, subleaf, &CpuidLeaf::word, bit, Needs::needs},
#include "cpu/x86/cpuid_features.inc"
#undef X
};

/// The host's own leaves that kFeatures asks about, read once: CPUID may cost microseconds.
class Host {
 public:
  static const Host& get() {
    static const Host host;
    return host;
  }
  bool has(const Feature& feature) const {
    for (const CpuidLeaf& leaf : leaves_) {
      if (leaf.leaf == feature.leaf && leaf.subleaf == feature.subleaf) return leaf.*feature.word & bit(feature.bit);
    }
    return false;
  }
  bool avx_enabled() const { return avx_enabled_; }

 private:
  Host() {
    constexpr u32 kQueried[][2] = {{1, 0}, {7, 0}, {0x80000001, 0}};
    for (const auto& [leaf, subleaf] : kQueried) {
      CpuidLeaf& out = leaves_.emplace_back(CpuidLeaf{.leaf = leaf, .subleaf = subleaf});
      __get_cpuid_count(leaf, subleaf, &out.eax, &out.ebx, &out.ecx, &out.edx);
    }
    constexpr u32 kOsxsave = bit(27);
    if (leaves_[0].ecx & kOsxsave) {
      u32 low, high;
      asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
      avx_enabled_ = (low & (kXcr0Base | kXcr0Avx)) == (kXcr0Base | kXcr0Avx);
    }
  }
  std::vector<CpuidLeaf> leaves_;
  bool avx_enabled_ = false;
};

class Builder {
 public:
  explicit Builder(const CpuidModelOptions& options) : options_(options) {}

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
  bool wants(const Feature& feature) const {
    const Host& host = Host::get();
    switch (feature.needs) {
      case Needs::Software:
        return true;
      case Needs::Host:
        return host.has(feature);
      case Needs::HostAvx:
        return host.avx_enabled() && host.has(feature);
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
  CpuidTable table_;
};

void Builder::features() {
  for (const Feature& feature : kFeatures) {
    CpuidLeaf& entry = has_subleaves(feature.leaf) ? leaf(feature.leaf, feature.subleaf) : leaf(feature.leaf);
    if (wants(feature)) entry.*feature.word |= static_cast<u32>(bit(feature.bit));
  }
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
  std::ranges::copy(kBrand, brand);
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
  constexpr u32 kAvx = bit(28);
  const bool avx = leaf(1).ecx & kAvx;
  CpuidLeaf& all = leaf(0xD, 0);
  all.eax = static_cast<u32>(kXcr0Base | (avx ? kXcr0Avx : 0));
  all.ecx = avx ? kAvxStateOffset + kAvxStateSize : kAvxStateOffset;
  all.ebx = kAvxStateOffset;  // for XCR0 after reset; engines follow XCR0
  if (!avx) return;
  CpuidLeaf& state = leaf(0xD, 2);
  state.eax = kAvxStateSize;
  state.ebx = kAvxStateOffset;
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
