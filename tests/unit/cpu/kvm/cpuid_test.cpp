#include "cpu/kvm/cpuid.h"

#include <gtest/gtest.h>

#include "base/bits.h"

namespace vireo::cpu::kvm {
namespace {

using vm::x86::CpuidTable;

TEST(KvmCpuid, FeaturesTheHostLacksDisappearAndTopologyStays) {
  CpuidTable wanted, supported;
  wanted.leaves = {{.leaf = 1, .eax = 0xA10F11, .ebx = 0x03040800, .ecx = 0xFFFFFFFF, .edx = 0xFFFFFFFF},
                   {.leaf = 7, .subleaf = 0, .subleaf_matters = true, .ebx = 0xFFFFFFFF}};
  supported.leaves = {{.leaf = 1, .ecx = 1u << 23, .edx = 1u << 4}};
  const auto table = intersect(wanted, supported);
  EXPECT_EQ(table.find(1, 0)->ebx, 0x03040800u);
  EXPECT_EQ(table.find(1, 0)->ecx, (1u << 23) | (1u << 31) | (1u << 27) | (1u << 21));
  EXPECT_EQ(table.find(1, 0)->edx, (1u << 4) | (1u << 28) | (1u << 9));
  EXPECT_EQ(table.find(7, 0)->ebx, 0u);
}

TEST(KvmCpuid, StateComponentsThatCannotBeEnabledHaveNoLeaf) {
  CpuidTable wanted, supported;
  wanted.leaves = {{.leaf = 0xD, .subleaf = 0, .subleaf_matters = true, .eax = 0xE7},
                   {.leaf = 0xD, .subleaf = 1, .subleaf_matters = true},
                   {.leaf = 0xD, .subleaf = 2, .subleaf_matters = true, .eax = 256, .ebx = 576},
                   {.leaf = 0xD, .subleaf = 5, .subleaf_matters = true, .eax = 64, .ebx = 832}};
  supported.leaves = {{.leaf = 0xD, .subleaf = 0, .subleaf_matters = true, .eax = 7}};
  const auto table = intersect(wanted, supported);
  EXPECT_EQ(table.find(0xD, 0)->eax, 7u);
  EXPECT_NE(table.find(0xD, 2), nullptr);
  EXPECT_EQ(table.find(0xD, 5), nullptr);
}

TEST(KvmCpuid, StateComponentsAreWhereTheHardwarePutsThem) {
  CpuidTable wanted, supported;
  wanted.leaves = {{.leaf = 0xD, .subleaf = 0, .subleaf_matters = true, .eax = 0xE7, .ecx = 0xA80},
                   {.leaf = 0xD, .subleaf = 5, .subleaf_matters = true, .eax = 0x40, .ebx = 0x440},
                   {.leaf = 0xD, .subleaf = 7, .subleaf_matters = true, .eax = 0x400, .ebx = 0x680}};
  supported.leaves = {{.leaf = 0xD, .subleaf = 0, .subleaf_matters = true, .eax = 0xE7, .ecx = 0x988},
                      {.leaf = 0xD, .subleaf = 5, .subleaf_matters = true, .eax = 0x40, .ebx = 0x340},
                      {.leaf = 0xD, .subleaf = 7, .subleaf_matters = true, .eax = 0x400, .ebx = 0x580}};
  const auto table = intersect(wanted, supported);
  EXPECT_EQ(table.find(0xD, 5)->ebx, 0x340u);
  EXPECT_EQ(table.find(0xD, 7)->ebx, 0x580u);
  EXPECT_EQ(table.find(0xD, 0)->ecx, 0x980u);
}

TEST(KvmCpuid, TheGuestAddressesNoMoreThanTheHost) {
  CpuidTable wanted, supported;
  wanted.leaves = {{.leaf = 0x80000008, .eax = 0x3034}};
  supported.leaves = {{.leaf = 0x80000008, .eax = 0x3028}};
  EXPECT_EQ(intersect(wanted, supported).find(0x80000008, 0)->eax, 0x3028u);
}

}  // namespace
}  // namespace vireo::cpu::kvm
