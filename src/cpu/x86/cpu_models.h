// CPU models: fixed, named sets of features, so that a machine can move between hosts. What a model names beyond what
// the engines do by themselves is executed by the host's own instructions; a host that lacks any of it cannot run the
// model.
#pragma once

#include <array>
#include <initializer_list>
#include <string>

#include "base/bits.h"
#include "base/result.h"
#include "vm/x86/cpuid.h"

namespace vireo::cpu::x86 {

/// The rows of cpuid_features.inc.
enum class Feature : u8 {
#define X(leaf, subleaf, word, bit, name, needs) name,
#include "cpu/x86/cpuid_features.inc"
#undef X
  kCount
};

class FeatureSet {
 public:
  constexpr FeatureSet() = default;
  constexpr FeatureSet(std::initializer_list<Feature> features) {
    for (const Feature feature : features) add(feature);
  }
  constexpr void add(Feature f) { words_[raw(f) / 64] |= bit(raw(f) % 64); }
  constexpr bool has(Feature f) const { return words_[raw(f) / 64] & bit(raw(f) % 64); }
  constexpr bool empty() const { return (words_[0] | words_[1]) == 0; }
  constexpr unsigned count() const {
    return static_cast<unsigned>(__builtin_popcountll(words_[0]) + __builtin_popcountll(words_[1]));
  }
  constexpr FeatureSet operator|(const FeatureSet& other) const {
    return {words_[0] | other.words_[0], words_[1] | other.words_[1]};
  }
  /// Without those of `other`.
  constexpr FeatureSet operator-(const FeatureSet& other) const {
    return {words_[0] & ~other.words_[0], words_[1] & ~other.words_[1]};
  }
  constexpr bool operator==(const FeatureSet&) const = default;

 private:
  constexpr FeatureSet(u64 low, u64 high) : words_{low, high} {}
  static_assert(raw(Feature::kCount) <= 128);
  std::array<u64, 2> words_{};
};

/// Where the components of AVX-512 are in a standard-format XSAVE image. Intel's processors leave room for MPX.
enum class XsaveOffsets : u8 { Amd, Intel };
/// Of component 5 (opmask), 6 (ZMM_Hi256) or 7 (Hi16_ZMM).
u32 avx512_offset(XsaveOffsets offsets, unsigned component);

struct CpuModel {
  std::string name;
  FeatureSet features;  ///< executed by the host's instructions; what the engines do by themselves is in every model
  XsaveOffsets offsets = XsaveOffsets::Amd;
};

/// What this host's CPU and system can run for a guest.
const FeatureSet& host_features();
/// "host": all of it.
CpuModel host_model();
/// The named model with the most features among those this host can run.
const CpuModel& best_model();
/// All named models, from the least to the most.
std::string model_names();
/// A named model, "host", or the best one when `name` is empty. Errors of kind Usage: no such model, or this host lacks
/// something of it.
Result<CpuModel> find_model(const std::string& name);
/// The model a guest has been told before, by its CPUID table. Errors of kind Usage: it cannot run here.
Result<CpuModel> model_of(const std::string& name, const vm::x86::CpuidTable& table);

/// "AVX512F, AVX512BW".
std::string names_of(const FeatureSet& features);

}  // namespace vireo::cpu::x86
