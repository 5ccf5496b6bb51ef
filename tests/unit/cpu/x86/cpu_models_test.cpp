#include "cpu/x86/cpu_models.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cpu/x86/cpuid_model.h"

namespace vireo::cpu::x86 {
namespace {

using enum Feature;

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  std::istringstream text(model_names());
  for (std::string name; std::getline(text >> std::ws, name, ',');) names.push_back(name);
  return names;
}

/// A model whatever this host is.
CpuModel with(FeatureSet features, XsaveOffsets offsets = XsaveOffsets::Amd) { return {"test", features, offsets}; }

TEST(CpuModels, AreRefusedWithWhatTheHostLacks) {
  unsigned runs = 0;
  for (const auto& name : all_names()) {
    const auto model = find_model(name);
    if (model) {
      EXPECT_EQ(model->name, name);
      EXPECT_TRUE((model->features - host_features()).empty());
      ++runs;
      continue;
    }
    EXPECT_EQ(model.error().kind, ErrorKind::Usage);
    EXPECT_NE(model.error().message.find("lacks"), std::string::npos) << model.error().message;
    EXPECT_NE(model.error().message.find(best_model().name), std::string::npos);
  }
  EXPECT_GT(runs, 0u);
}

TEST(CpuModels, NamesAllOfThemForAnUnknownOne) {
  const auto model = find_model("z80");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind, ErrorKind::Usage);
  EXPECT_NE(model.error().message.find(model_names()), std::string::npos);
}

TEST(CpuModels, TakesTheBestOneByDefault) {
  EXPECT_EQ(find_model("")->name, best_model().name);
  for (const auto& name : all_names()) {
    if (const auto model = find_model(name)) {
      EXPECT_LE(model->features.count(), best_model().features.count());
    }
  }
  if (find_model("x86-64-v3")) {
    EXPECT_TRUE(best_model().features.has(AVX2));
  }
  if (find_model("x86-64-v4")) {
    EXPECT_TRUE(best_model().features.has(AVX512F));
  }
}

TEST(CpuModels, HostIsAllThatTheHostHas) {
  EXPECT_EQ(host_model().features, host_features());
  EXPECT_EQ(find_model("host")->name, "host");
  EXPECT_TRUE((best_model().features - host_model().features).empty());
}

TEST(CpuModels, ComeBackFromTheirOwnTable) {
  for (const auto& name : {std::string("host"), best_model().name}) {
    const auto model = find_model(name);
    const auto again = model_of(name, make_cpuid({.vcpus = 2, .model = &*model}));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->features, model->features);
    EXPECT_EQ(again->name, name);
    if (model->features.has(AVX512F)) {
      EXPECT_EQ(again->offsets, model->offsets);
    }
  }
}

TEST(CpuModels, OfAStateFileAreCheckedLikeAnyOther) {
  FeatureSet more = best_model().features;
  for (const Feature feature : {AVX_VNNI, AVX512F, AVX512BW, SHA, AVX512_BF16}) {
    if (!host_features().has(feature)) more.add(feature);
  }
  if (!(more - host_features()).empty()) {
    const auto model = with(more);
    const auto refused = model_of("far-away", make_cpuid({.model = &model}));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(names_of(more - host_features())), std::string::npos)
        << refused.error().message;
  }
  auto table = make_cpuid({});
  if (!best_model().features.has(AVX512F)) return;
  for (auto& leaf : table.leaves) {
    if (leaf.leaf == 0xD && leaf.subleaf == 5) leaf.ebx = 0x1234;
  }
  EXPECT_FALSE(model_of("odd", table));
}

TEST(CpuModels, DoNotDependOnTheHost) {
  const auto model = with({CMOV, SSE, SSE2, AVX, AVX2, AVX512F, AVX512BW, AVX512_BF16, AVX_VNNI});
  const auto table = make_cpuid({.model = &model});
  EXPECT_EQ(table.find(7, 0)->ebx & (bit(5) | bit(16) | bit(30) | bit(31)), bit(5) | bit(16) | bit(30));
  EXPECT_EQ(table.find(7, 0)->eax, 1u);
  EXPECT_EQ(table.find(7, 1)->eax, bit(4) | bit(5));
  EXPECT_EQ(table.find(1, 0)->ecx & bit(25), 0u);
}

TEST(CpuModels, PutAvx512StateWhereTheirProcessorsDo) {
  const struct {
    XsaveOffsets offsets;
    u32 opmask, zmm_hi256, hi16_zmm, size;
  } expected[] = {{XsaveOffsets::Amd, 0x340, 0x380, 0x580, 0x980}, {XsaveOffsets::Intel, 0x440, 0x480, 0x680, 0xA80}};
  for (const auto& e : expected) {
    const auto model = with({AVX, AVX512F}, e.offsets);
    const auto table = make_cpuid({.model = &model});
    EXPECT_EQ(table.find(0xD, 0)->eax, 0xE7u);
    EXPECT_EQ(table.find(0xD, 0)->ecx, e.size);
    EXPECT_EQ(table.find(0xD, 5)->ebx, e.opmask);
    EXPECT_EQ(table.find(0xD, 5)->eax, 0x40u);
    EXPECT_EQ(table.find(0xD, 6)->ebx, e.zmm_hi256);
    EXPECT_EQ(table.find(0xD, 6)->eax, 0x200u);
    EXPECT_EQ(table.find(0xD, 7)->ebx, e.hi16_zmm);
    EXPECT_EQ(table.find(0xD, 7)->eax, 0x400u);
  }
}

}  // namespace
}  // namespace vireo::cpu::x86
