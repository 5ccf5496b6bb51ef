#include "dev/resetctl/resetctl.h"

#include <gtest/gtest.h>

#include "unit/dev/fakes.h"

namespace vireo::dev {
namespace {

TEST(ResetControl, ResetsWhenRstCpuRises) {
  test::FakePower power;
  ResetControl chip(power);
  chip.port_cf9().port_write(0, 1, resetctl::rst_cnt::SYS_RST);
  EXPECT_TRUE(power.requests.empty());
  chip.port_cf9().port_write(0, 1, resetctl::kResetValue);
  ASSERT_EQ(power.requests.size(), 1U);
  EXPECT_EQ(power.requests[0], vm::PowerControl::Request::Reset);
  EXPECT_EQ(chip.port_cf9().port_read(0, 1), resetctl::kResetValue);
  chip.port_cf9().port_write(0, 1, resetctl::kResetValue);
  EXPECT_EQ(power.requests.size(), 1U) << "no edge";
  chip.reset();
  EXPECT_EQ(chip.port_cf9().port_read(0, 1), 0U);
}

TEST(ResetControl, ResetsByPort92AndKeepsA20) {
  test::FakePower power;
  ResetControl chip(power);
  EXPECT_EQ(chip.port92().port_read(0, 1), 2U);
  chip.port92().port_write(0, 1, 0);
  EXPECT_FALSE(chip.a20());
  chip.port92().port_write(0, 1, 0xFE);
  EXPECT_TRUE(chip.a20());
  EXPECT_TRUE(power.requests.empty());
  chip.port92().port_write(0, 1, 3);
  EXPECT_EQ(power.requests.size(), 1U);
}

TEST(ResetControl, GoesOnFromASavedState) {
  test::FakePower power;
  ResetControl chip(power), other(power);
  chip.port92().port_write(0, 1, 0);
  ASSERT_TRUE(other.load(chip.save()));
  EXPECT_FALSE(other.a20());
  auto bad = chip.save();
  bad.bytes[0] = 0x80;
  EXPECT_FALSE(other.load(bad));
}

}  // namespace
}  // namespace vireo::dev
