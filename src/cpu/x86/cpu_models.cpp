#include "cpu/x86/cpu_models.h"

#include <vector>

#include "cpu/x86/cpuid_feature_table.h"

namespace vireo::cpu::x86 {

namespace {

using enum Feature;

// Each is a superset of the one it begins with. The levels are those of the x86-64 psABI; the generations are named
// after the processors whose unprivileged instructions they have.
constexpr FeatureSet kV2 = {CMOV, MMX, SSE, SSE2, SSE3, SSSE3, SSE41, SSE42, POPCNT, CMPXCHG16B};
constexpr FeatureSet kV3 = kV2 | FeatureSet{AVX, AVX2, BMI1, BMI2, F16C, FMA, ABM};
constexpr FeatureSet kV4 = kV3 | FeatureSet{AVX512F, AVX512CD, AVX512BW, AVX512DQ, AVX512VL};
constexpr FeatureSet kHaswell = kV3 | FeatureSet{AES, PCLMULQDQ, RDRAND};
constexpr FeatureSet kSkylake = kHaswell | FeatureSet{ADX, RDSEED};
constexpr FeatureSet kSkylakeServer = kSkylake | kV4;
constexpr FeatureSet kIcelakeServer =
    kSkylakeServer | FeatureSet{SHA,         GFNI,         VAES,        VPCLMULQDQ,    AVX512_IFMA,
                                AVX512_VBMI, AVX512_VBMI2, AVX512_VNNI, AVX512_BITALG, AVX512_VPOPCNTDQ};
constexpr FeatureSet kSapphireRapids = kIcelakeServer | FeatureSet{AVX512_BF16, AVX_VNNI};
constexpr FeatureSet kZen = kSkylake | FeatureSet{SHA};
constexpr FeatureSet kZen3 = kZen | FeatureSet{VAES, VPCLMULQDQ};
constexpr FeatureSet kZen4 = kIcelakeServer | FeatureSet{AVX512_BF16};
constexpr FeatureSet kZen5 = kZen4 | FeatureSet{AVX_VNNI};

const CpuModel kModels[] = {
    {"x86-64-v2", kV2, XsaveOffsets::Amd},
    {"x86-64-v3", kV3, XsaveOffsets::Amd},
    {"x86-64-v4", kV4, XsaveOffsets::Intel},
    {"haswell", kHaswell, XsaveOffsets::Intel},
    {"skylake", kSkylake, XsaveOffsets::Intel},
    {"skylake-server", kSkylakeServer, XsaveOffsets::Intel},
    {"icelake-server", kIcelakeServer, XsaveOffsets::Intel},
    {"sapphire-rapids", kSapphireRapids, XsaveOffsets::Intel},
    {"zen", kZen, XsaveOffsets::Amd},
    {"zen3", kZen3, XsaveOffsets::Amd},
    {"zen4", kZen4, XsaveOffsets::Amd},
    {"zen5", kZen5, XsaveOffsets::Amd},
};

bool needs_host(const FeatureBit& row) {
  return row.needs == Needs::Host || row.needs == Needs::HostAvx || row.needs == Needs::HostAvx512;
}

/// The features that `table` announces, of those that the host has to execute.
FeatureSet features_in(const vm::x86::CpuidTable& table) {
  FeatureSet found;
  for (const FeatureBit& row : kFeatureBits) {
    const auto* leaf = table.find(row.leaf, row.subleaf);
    if (leaf == nullptr || (row.subleaf != 0 && !leaf->subleaf_matters)) continue;
    if (needs_host(row) && (leaf->*row.word & bit(row.bit))) found.add(row.feature);
  }
  return found;
}

}  // namespace

u32 avx512_offset(XsaveOffsets offsets, unsigned component) {
  constexpr u32 kAmd[] = {0x340, 0x380, 0x580}, kIntel[] = {0x440, 0x480, 0x680};
  return (offsets == XsaveOffsets::Amd ? kAmd : kIntel)[component - 5];
}

const FeatureSet& host_features() {
  static const FeatureSet features = [] {
    const HostCpuid host = read_host_cpuid();
    FeatureSet usable;
    const FeatureSet has = features_in(host.table);
    for (const FeatureBit& row : kFeatureBits) {
      if (!has.has(row.feature)) continue;
      if (row.needs != Needs::Host && !host.avx_state) continue;
      if (row.needs == Needs::HostAvx512 && (!host.avx512_state || !(kV4 - has).empty())) continue;
      usable.add(row.feature);
    }
    return usable;
  }();
  return features;
}

CpuModel host_model() { return {"host", host_features(), read_host_cpuid().offsets}; }

const CpuModel& best_model() {
  static const CpuModel best = [] {
    const CpuModel* most = nullptr;
    for (const CpuModel& model : kModels) {
      if (!(model.features - host_features()).empty()) continue;
      if (most == nullptr || model.features.count() > most->features.count()) most = &model;
    }
    return most != nullptr ? *most : host_model();
  }();
  return best;
}

std::string model_names() {
  std::string names;
  for (const CpuModel& model : kModels) names += (names.empty() ? "" : ", ") + model.name;
  return names;
}

Result<CpuModel> find_model(const std::string& name) {
  if (name.empty()) return best_model();
  if (name == "host") return host_model();
  for (const CpuModel& model : kModels) {
    if (model.name != name) continue;
    const FeatureSet missing = model.features - host_features();
    if (missing.empty()) return model;
    return fail(ErrorKind::Usage, "this host cannot run the CPU model \"{}\": it lacks {}; the best it can run is {}",
                name, names_of(missing), best_model().name);
  }
  return fail(ErrorKind::Usage, "there is no CPU model \"{}\"; choose one of host, {}", name, model_names());
}

Result<CpuModel> model_of(const std::string& name, const vm::x86::CpuidTable& table) {
  CpuModel model{name, features_in(table), XsaveOffsets::Amd};
  if (const FeatureSet missing = model.features - host_features(); !missing.empty()) {
    return fail(ErrorKind::Usage, "its CPUs (\"{}\") have what this host lacks: {}", name, names_of(missing));
  }
  const auto* opmask = table.find(0xD, 5);
  if (opmask == nullptr || !opmask->subleaf_matters || opmask->eax == 0) return model;
  for (const auto offsets : {XsaveOffsets::Amd, XsaveOffsets::Intel}) {
    model.offsets = offsets;
    if (opmask->ebx == avx512_offset(offsets, 5)) return model;
  }
  return fail(ErrorKind::Usage, "its CPUs (\"{}\") save their AVX-512 state in a way that no known processor does",
              name);
}

std::string names_of(const FeatureSet& features) {
  std::string names;
  for (const FeatureBit& row : kFeatureBits) {
    if (!features.has(row.feature)) continue;
    names += names.empty() ? "" : ", ";
    names += row.name;
  }
  return names;
}

}  // namespace vireo::cpu::x86
