#include "cpu/x86/xsave.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace vireo::cpu::x86 {
namespace {

using vm::x86::FpuState;

/// The layout of a processor with AVX-512.
XsaveLayout full_layout() {
  vm::x86::CpuidTable table;
  const auto add = [&](u32 component, u32 offset, u32 size) {
    table.leaves.push_back({.leaf = 0xD, .subleaf = component, .subleaf_matters = true, .eax = size, .ebx = offset});
  };
  add(2, 576, 256);
  add(5, 832, 64);
  add(6, 896, 512);
  add(7, 1408, 1024);
  return XsaveLayout::from(table);
}

/// A value of its own in every byte that is kept.
FpuState distinct_state() {
  FpuState fpu;
  fpu.fcw = 0x27F, fpu.fsw = 0x1A41, fpu.ftw = 0x5A, fpu.fop = 0x321;
  fpu.fip = 0x7FFF12345678, fpu.fdp = 0x7FFF87654321;
  fpu.mxcsr = 0x5FA2;
  u8 next = 1;
  for (auto& st : fpu.st) {
    for (unsigned i = 0; i < 10; ++i) st[i] = next++;
  }
  for (auto& zmm : fpu.zmm) {
    for (auto& byte : zmm) byte = next++;
  }
  for (auto& mask : fpu.opmask) mask = next++;
  return fpu;
}

void expect_same(const FpuState& a, const FpuState& b) {
  EXPECT_EQ(a.fcw, b.fcw);
  EXPECT_EQ(a.fsw, b.fsw);
  EXPECT_EQ(a.ftw, b.ftw);
  EXPECT_EQ(a.fop, b.fop);
  EXPECT_EQ(a.fip, b.fip);
  EXPECT_EQ(a.fdp, b.fdp);
  EXPECT_EQ(a.mxcsr, b.mxcsr);
  EXPECT_EQ(a.st, b.st);
  EXPECT_EQ(a.zmm, b.zmm);
  EXPECT_EQ(a.opmask, b.opmask);
}

TEST(Xsave, ComesBackFromAnImageAsItWas) {
  const auto layout = full_layout();
  const FpuState before = distinct_state();
  std::vector<u8> image(layout.size(kFpuComponents));
  EXPECT_EQ(image.size(), 2432u);
  store_xsave(before, layout, kFpuComponents, image);
  FpuState after;
  ASSERT_TRUE(load_xsave(after, layout, kFpuComponents, image));
  expect_same(after, before);
}

TEST(Xsave, InitialisesWhatTheHeaderDoesNotName) {
  const auto layout = full_layout();
  std::vector<u8> image(layout.size(kFpuComponents));
  store_xsave(distinct_state(), layout, kFpuComponents, image);
  store<u64>(image.data() + kXsaveHeaderOffset, 0);
  FpuState after = distinct_state();
  ASSERT_TRUE(load_xsave(after, layout, kFpuComponents, image));
  FpuState initial;
  initial.mxcsr = 0x5FA2;  // in no component
  expect_same(after, initial);
  EXPECT_EQ(components_in_use(after), 0u);
}

TEST(Xsave, RefusesImagesThatAreTooSmallOrCompacted) {
  const auto layout = full_layout();
  std::vector<u8> image(layout.size(kFpuComponents));
  store_xsave(distinct_state(), layout, kFpuComponents, image);
  FpuState after;
  EXPECT_FALSE(load_xsave(after, layout, kFpuComponents, std::span(image).first(575)));
  EXPECT_FALSE(load_xsave(after, layout, kFpuComponents, std::span(image).first(image.size() - 1)));
  store<u64>(image.data() + kXsaveHeaderOffset + 8, kXcompCompacted | 7);
  EXPECT_FALSE(load_xsave(after, layout, kFpuComponents, image));
  expect_same(after, FpuState{});
}

TEST(Xsave, KnowsWhatIsInUse) {
  FpuState fpu;
  EXPECT_EQ(components_in_use(fpu), 0u);
  fpu.fcw = 0x27F;
  EXPECT_EQ(components_in_use(fpu), vm::x86::xcr0::X87);
  fpu.zmm[15][31] = 1;
  EXPECT_EQ(components_in_use(fpu), vm::x86::xcr0::X87 | vm::x86::xcr0::AVX);
}

TEST(Fxsave, RecomputesTheSummaryOfPendingExceptions) {
  u8 image[kFxsaveSize] = {};
  FpuState fpu;
  store<u16>(image, 0x37F & ~4);
  store<u16>(image + 2, 4);
  load_fxsave_x87(fpu, PointerFormat::Offset64, image);
  EXPECT_EQ(fpu.fsw, 0x8084);
  store<u16>(image, 0x37F);
  store<u16>(image + 2, 0x8084);
  load_fxsave_x87(fpu, PointerFormat::Offset64, image);
  EXPECT_EQ(fpu.fsw, 4);
}

TEST(X87Top, MovesWithoutMovingPhysicalRegisters) {
  FpuState fpu;
  for (u8 i = 0; i < 8; ++i) fpu.st[i][0] = i;  // TOP = 0: ST(i) is R(i)
  set_x87_top(fpu, 3);
  EXPECT_EQ(fpu.st[0][0], 3);
  EXPECT_EQ(fpu.st[5][0], 0);
  EXPECT_EQ(fpu.fsw, 3 << 11);
  set_x87_top(fpu, 0);
  for (u8 i = 0; i < 8; ++i) EXPECT_EQ(fpu.st[i][0], i);
}

}  // namespace
}  // namespace vireo::cpu::x86
