// AVX-512 where the comparison with the host CPU does not reach: control registers, CPUID, memory under a mask.
#include <gtest/gtest.h>

#include "lone_cpu.h"

namespace vireo::cpu::interp {
namespace {

using namespace vm::x86;

constexpr int kNone = -1, kUD = 6, kNM = 7, kGP = 13, kXM = 19;
constexpr unsigned kMemory = 0x1000;  ///< where the instructions below have their operand

const std::vector<u8> kVaddps = {0x62, 0xF1, 0x74, 0x48, 0x58, 0xC2};                     // VADDPS zmm0, zmm1, zmm2
const std::vector<u8> kKmovw = {0xC5, 0xF8, 0x92, 0xC8};                                  // KMOVW k1, eax
const std::vector<u8> kMaskedLoad = {0x62, 0xF1, 0x74, 0x49, 0x58, 0x05, 0, 0x10, 0, 0};  // VADDPS zmm0{k1}, zmm1, m512
const std::vector<u8> kMaskedStore = {0x62, 0xF1, 0x7E, 0x49, 0x7F, 0x05, 0, 0x10, 0, 0};  // VMOVDQU32 m512{k1}, zmm0

struct Evex : testing::Test {
  LoneCpu lone;
  Cpu& cpu = lone.cpu;
  std::array<std::array<u8, 64>, 32>& zmm = cpu.fpu.zmm;
  u64& k1 = cpu.fpu.opmask[1];

  void SetUp() override {
    if (!cpu.host_exec->announced(ZYDIS_ISA_SET_AVX512F_512)) GTEST_SKIP() << "this host has no AVX-512";
    cpu.sys.xcr0 |= xcr0::kAvx512;
  }
  void set(unsigned reg, u32 value) {
    for (unsigned i = 0; i < 64; i += 4) store<u32>(zmm[reg].data() + i, value);
  }
  u32 element(unsigned reg, unsigned i) const { return load<u32>(zmm[reg].data() + 4 * i); }
  u32 memory(unsigned i) { return load<u32>(lone.ram() + kMemory + 4 * i); }
  /// The data segment ends after so many elements at kMemory.
  void end_segment_after(unsigned elements) { cpu.sys.segment[DS].limit = kMemory + 4 * elements - 1; }
};

TEST_F(Evex, NeedsItsPartsOfXcr0AndClearedTs) {
  EXPECT_EQ(lone.vector(kVaddps), kNone);
  EXPECT_EQ(lone.vector(kKmovw), kNone);
  cpu.sys.cr0 |= cr0::TS;
  cpu.update_mode();
  EXPECT_EQ(lone.vector(kVaddps), kNM);
  EXPECT_EQ(lone.vector(kKmovw), kNM);
  cpu.sys.cr0 &= ~cr0::TS;
  cpu.update_mode();
  cpu.sys.xcr0 &= ~xcr0::kAvx512;
  EXPECT_EQ(lone.vector(kVaddps), kUD);
  EXPECT_EQ(lone.vector(kKmovw), kUD);
  EXPECT_EQ(lone.vector({0xC5, 0xF9, 0xEF, 0xC0}), kNone) << "VEX needs AVX state alone";
  cpu.sys.xcr0 |= xcr0::kAvx512;
  cpu.sys.cr4 &= ~cr4::OSXSAVE;
  EXPECT_EQ(lone.vector(kVaddps), kUD);
}

TEST_F(Evex, IsUndefinedForModelsWithoutIt) {
  const auto model = x86::find_model("x86-64-v3");
  ASSERT_TRUE(model);
  LoneCpu older(x86::make_cpuid({.model = &*model}));
  older.cpu.sys.xcr0 |= xcr0::kAvx512;
  EXPECT_EQ(older.vector(kVaddps), kUD);
  EXPECT_EQ(older.vector(kKmovw), kUD);
}

TEST_F(Evex, LoadsOnlyWhatTheMaskChooses) {
  set(0, 7);
  set(1, 0);
  for (unsigned i = 0; i < 3; ++i) store<u32>(lone.ram() + kMemory + 4 * i, 0x3F800000 + i);
  end_segment_after(3);
  k1 = 5;
  EXPECT_EQ(lone.vector(kMaskedLoad), kNone);
  EXPECT_EQ(element(0, 0), 0x3F800000u);
  EXPECT_EQ(element(0, 1), 7u);
  EXPECT_EQ(element(0, 2), 0x3F800002u);
  k1 = 8;
  EXPECT_EQ(lone.vector(kMaskedLoad), kGP);
  k1 = ~u64{0xFFFF};
  EXPECT_EQ(lone.vector(kMaskedLoad), kNone) << "there are 16 elements";
}

TEST_F(Evex, StoresAllThatTheMaskChoosesOrNothing) {
  set(0, 0x11111111);
  end_segment_after(3);
  k1 = 6;
  EXPECT_EQ(lone.vector(kMaskedStore), kNone);
  EXPECT_EQ(memory(0), 0u);
  EXPECT_EQ(memory(1), 0x11111111u);
  EXPECT_EQ(memory(2), 0x11111111u);
  set(0, 0x22222222);
  k1 = 0xE;
  EXPECT_EQ(lone.vector(kMaskedStore), kGP);
  EXPECT_EQ(memory(1), 0x11111111u);
}

TEST_F(Evex, WantsAllOfTheOperandWhereTheManualPromisesNoSuppression) {
  set(0, 0x33333333);
  k1 = 1;
  const std::vector<u8> extract = {0x62, 0xF3, 0x7D, 0x49, 0x19, 0x05,
                                   0,    0x10, 0,    0,    1};  // VEXTRACTF32X4 m128{k1}, zmm0, 1
  end_segment_after(3);
  EXPECT_EQ(lone.vector(extract), kGP);
  end_segment_after(4);
  EXPECT_EQ(lone.vector(extract), kNone);
  EXPECT_EQ(memory(0), 0x33333333u);
  EXPECT_EQ(memory(1), 0u);
}

TEST_F(Evex, BroadcastsWithoutReadingForNobody) {
  set(0, 7);
  end_segment_after(0);
  const std::vector<u8> broadcast = {0x62, 0xF2, 0x7D, 0x49, 0x18, 0x05, 0, 0x10, 0, 0};  // VBROADCASTSS zmm0{k1}, m32
  k1 = 0;
  EXPECT_EQ(lone.vector(broadcast), kNone);
  EXPECT_EQ(element(0, 0), 7u);
  k1 = 0x8000;
  EXPECT_EQ(lone.vector(broadcast), kGP);
}

TEST_F(Evex, CompressesAndExpandsAsManyAsAreChosen) {
  for (unsigned i = 0; i < 16; ++i) store<u32>(zmm[0].data() + 4 * i, i + 1);
  k1 = 0x8010;
  end_segment_after(2);
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0x7D, 0x49, 0x8B, 0x05, 0, 0x10, 0, 0}), kNone);  // VPCOMPRESSD m512{k1}, zmm0
  EXPECT_EQ(memory(0), 5u);
  EXPECT_EQ(memory(1), 16u);
  EXPECT_EQ(memory(2), 0u);
  k1 = 0x0102;
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0x7D, 0xC9, 0x89, 0x05, 0, 0x10, 0, 0}), kNone);  // VPEXPANDD zmm0{k1}{z}, m512
  EXPECT_EQ(element(0, 0), 0u);
  EXPECT_EQ(element(0, 1), 5u);
  EXPECT_EQ(element(0, 8), 16u);
  k1 = 7;
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0x7D, 0xC9, 0x89, 0x05, 0, 0x10, 0, 0}), kGP);
}

TEST_F(Evex, GathersAndScattersGoOnWhereTheyStopped) {
  cpu.r[RAX] = kMemory;
  set(0, 0x55);
  set(1, 0x7F000000);
  store<u32>(zmm[1].data(), 0);
  store<u32>(zmm[1].data() + 4, 4);
  store<u64>(lone.ram() + kMemory, 0x0000000200000001);
  end_segment_after(2);
  k1 = 0b10111;
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0x7D, 0x49, 0x90, 0x04, 0x08}), kGP);  // VPGATHERDD zmm0{k1}, [eax+zmm1]
  EXPECT_EQ(element(0, 0), 1u);
  EXPECT_EQ(element(0, 1), 2u);
  EXPECT_EQ(element(0, 2), 0x55u);
  EXPECT_EQ(k1, 0b10100u);
  set(0, 0x66);
  k1 = 0b111;
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0x7D, 0x49, 0xA0, 0x04, 0x08}), kGP);  // VPSCATTERDD [eax+zmm1]{k1}, zmm0
  EXPECT_EQ(memory(0), 0x66u);
  EXPECT_EQ(memory(1), 0x66u);
  EXPECT_EQ(k1, 0b100u);
  k1 = 0b11;
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0x7D, 0x49, 0xA0, 0x04, 0x08}), kNone);
  EXPECT_EQ(k1, 0u);
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0x7D, 0x48, 0xA0, 0x04, 0x08}), kUD) << "k0 chooses nothing";
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0x7D, 0x49, 0x90, 0x04, 0x00}), kUD) << "the index is the destination";
}

TEST_F(Evex, ChecksAlignmentOfWhatIsAccessed) {
  const std::vector<u8> load = {0x62, 0xF1, 0x7D, 0x49, 0x6F, 0x05, 0x10, 0x10, 0, 0};  // VMOVDQA32 zmm0{k1}, [1010h]
  k1 = 1;
  EXPECT_EQ(lone.vector(load), kGP);
  k1 = 0;
  EXPECT_EQ(lone.vector(load), kNone);
}

TEST_F(Evex, ReportsExceptionsOfChosenElementsUnlessTheyAreSuppressed) {
  set(1, 0x3F800000);
  set(2, 0x3F800000);
  store<u32>(zmm[2].data(), 0);
  cpu.fpu.mxcsr = 0x1F80 & ~0x200u;                                     // divide by zero unmasked
  const std::vector<u8> divide = {0x62, 0xF1, 0x74, 0x49, 0x5E, 0xC2};  // VDIVPS zmm0{k1}, zmm1, zmm2
  k1 = 0xFFFE;
  EXPECT_EQ(lone.vector(divide), kNone);
  k1 = 1;
  EXPECT_EQ(lone.vector(divide), kXM);
  EXPECT_EQ(lone.vector({0x62, 0xF1, 0x74, 0x79, 0x5E, 0xC2}), kNone) << "with {rz-sae}";
}

TEST_F(Evex, KeepsTheHighRegistersFromVzeroupper) {
  zmm[0].fill(0x11);
  zmm[31].fill(0x22);
  EXPECT_EQ(lone.vector({0xC5, 0xF8, 0x77}), kNone);
  EXPECT_EQ(zmm[0][15], 0x11);
  EXPECT_EQ(zmm[0][63], 0);
  EXPECT_EQ(zmm[31][63], 0x22);
}

}  // namespace
}  // namespace vireo::cpu::interp
