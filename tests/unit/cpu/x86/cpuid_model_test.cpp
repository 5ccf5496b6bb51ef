#include "cpu/x86/cpuid_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "base/bits.h"
#include "cpu/x86/paging.h"
#include "cpu/x86/xsave.h"

namespace vireo::cpu::x86 {
namespace {

std::string text(std::initializer_list<u32> words) {
  std::string out;
  for (u32 word : words) out.append(reinterpret_cast<const char*>(&word), 4);
  return out;
}

TEST(CpuidModel, IsAnAmdCpuOfFamily17hWithTheModelsName) {
  const auto table = make_cpuid({});
  const auto* first = table.find(0, 0);
  EXPECT_EQ(text({first->ebx, first->edx, first->ecx}), "AuthenticAMD");
  EXPECT_EQ(table.find(1, 0)->eax, 0x00800F12u);
  std::string brand;
  for (u32 leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    const auto* part = table.find(leaf, 0);
    brand += text({part->eax, part->ebx, part->ecx, part->edx});
  }
  EXPECT_STREQ(brand.c_str(), ("Vireo " + best_model().name + " vCPU").c_str());
}

TEST(CpuidModel, NumbersCoresByApicId) {
  const auto table = make_cpuid({.vcpu = 2, .vcpus = 3});
  EXPECT_EQ(table.find(1, 0)->ebx >> 24, 2u);
  EXPECT_EQ(bits(table.find(1, 0)->ebx, 16, 8), 3u);
  EXPECT_TRUE(table.find(1, 0)->edx & bit(28));
  EXPECT_EQ(table.find(0xB, 0)->ebx, 1u);
  EXPECT_EQ(table.find(0xB, 1)->eax, 2u);
  EXPECT_EQ(table.find(0xB, 1)->ebx, 3u);
  EXPECT_EQ(table.find(0xB, 1)->edx, 2u);
  EXPECT_EQ(table.find(0xB, 2)->ebx, 0u);
  EXPECT_EQ(table.find(0x80000008, 0)->ecx, 2u | (2u << 12));
  EXPECT_EQ(table.find(0x8000001E, 0)->eax, 2u);
  EXPECT_EQ(bits(table.find(0x8000001D, 3)->eax, 14, 12), 2u);
}

TEST(CpuidModel, OneCpuIsNotAnnouncedAsMany) {
  const auto table = make_cpuid({});
  EXPECT_FALSE(table.find(1, 0)->edx & bit(28));
  EXPECT_FALSE(table.find(0x80000001, 0)->ecx & bit(1));
  EXPECT_EQ(table.find(0x80000008, 0)->ecx, 0u);
}

TEST(CpuidModel, AnnouncesTheAddressWidthThatPagingChecks) {
  EXPECT_EQ(make_cpuid({}).find(0x80000008, 0)->eax, kPhysicalBits | (48u << 8));
}

TEST(CpuidModel, DescribesTheXsaveImageThatXsaveMakes) {
  const auto table = make_cpuid({});
  const auto* all = table.find(0xD, 0);
  EXPECT_EQ(XsaveLayout::from(table).size(all->eax), all->ecx);
  EXPECT_EQ((all->eax & 4) != 0, (table.find(1, 0)->ecx & bit(28)) != 0);
}

TEST(CpuidModel, NeedsNoAvxStateWithoutAvx) {
  const CpuModel model{"test", {Feature::CMOV, Feature::SSE, Feature::SSE2}, XsaveOffsets::Amd};
  const auto table = make_cpuid({.model = &model});
  EXPECT_EQ(table.find(0xD, 0)->eax, 3u);
  EXPECT_EQ(table.find(0xD, 0)->ecx, 576u);
  EXPECT_EQ(table.find(0xD, 2), nullptr);
}

TEST(CpuidModel, OffersKvmLeavesUnlessToldNotTo) {
  const auto table = make_cpuid({});
  const auto* kvm = table.find(0x40000000, 0);
  EXPECT_EQ(text({kvm->ebx, kvm->ecx, kvm->edx}), std::string("KVMKVMKVM\0\0\0", 12));
  EXPECT_EQ(table.find(0x40000001, 0)->eax, 0x01000AEBu);
  EXPECT_EQ(make_cpuid({.paravirt_features = 0}).find(0x40000000, 0), nullptr);
}

TEST(CpuidModel, ClaimsNoImmunityForHardware) {
  EXPECT_NE(make_cpuid({}).find(0x80000021, 0)->eax & bit(29), 0u);
  EXPECT_EQ(make_cpuid({.software = false}).find(0x80000021, 0)->eax & bit(29), 0u);
}

TEST(CpuidModel, NamesNoLeafTwice) {
  std::set<std::pair<u32, u32>> seen;
  for (const auto& leaf : make_cpuid({.vcpus = 4}).leaves)
    EXPECT_TRUE(seen.insert({leaf.leaf, leaf.subleaf}).second) << leaf.leaf << "." << leaf.subleaf;
}

}  // namespace
}  // namespace vireo::cpu::x86
