#include "dev/acpipm/acpipm.h"

#include <gtest/gtest.h>

#include "base/bits.h"

#include "unit/dev/fakes.h"

namespace vireo::dev {
namespace {

using namespace acpipm;
constexpr u64 kSecond = 1'000'000'000;

class Acpi : public testing::Test {
 protected:
  u32 in(Reg reg, u8 size = 2) { return chip.port_read(static_cast<u16>(reg), size); }
  void out(Reg reg, u32 value, u8 size = 2) { chip.port_write(static_cast<u16>(reg), size, value); }
  test::FakeClock clock;
  test::FakeLine sci;
  test::FakePower power;
  AcpiPm chip{sci, clock, power};
};

TEST_F(Acpi, IsAlwaysInAcpiMode) {
  EXPECT_EQ(in(Reg::PM1_CNT)&cnt::SCI_EN, cnt::SCI_EN);
  out(Reg::PM1_CNT, 0);
  EXPECT_EQ(in(Reg::PM1_CNT)&cnt::SCI_EN, cnt::SCI_EN);
}

TEST_F(Acpi, TheTimerRunsAtItsRate) {
  EXPECT_EQ(in(Reg::PM_TMR, 4), 0U);
  clock.advance(kSecond);
  EXPECT_EQ(in(Reg::PM_TMR, 4), kTimerHz);
  clock.advance(1999 * kSecond);
  EXPECT_EQ(in(Reg::PM_TMR, 4), static_cast<u32>(2000 * kTimerHz));
  EXPECT_EQ(clock.armed(), 0U);
}

TEST_F(Acpi, ATimerOf24BitsWraps) {
  AcpiPm narrow(sci, clock, power, 24);
  clock.advance(10 * kSecond);
  EXPECT_EQ(narrow.port_read(static_cast<u16>(Reg::PM_TMR), 4), 10 * kTimerHz % (1 << 24));
}

TEST_F(Acpi, TheTimersTopBitIsAnEvent) {
  AcpiPm narrow(sci, clock, power, 24);
  constexpr u64 kHalf = (u64{1} << 23) * kSecond / kTimerHz;
  const auto status = [&] { return narrow.port_read(static_cast<u16>(Reg::PM1_STS), 2) & pm1::TMR; };
  clock.advance(kHalf + 10'000);
  EXPECT_EQ(status(), pm1::TMR);
  narrow.port_write(static_cast<u16>(Reg::PM1_STS), 2, pm1::TMR);
  EXPECT_EQ(status(), 0U);
  narrow.port_write(static_cast<u16>(Reg::PM1_EN), 2, pm1::TMR);
  EXPECT_FALSE(sci.level);
  clock.advance(kHalf - 20'000);
  EXPECT_FALSE(sci.level);
  clock.advance(20'000);
  EXPECT_TRUE(sci.level);
  EXPECT_EQ(clock.armed(), 0U) << "nothing to wait for until the event is taken";
  narrow.port_write(static_cast<u16>(Reg::PM1_STS), 2, pm1::TMR);
  EXPECT_FALSE(sci.level);
  EXPECT_EQ(clock.armed(), 1U);
}

TEST_F(Acpi, ThePowerButtonRaisesTheSci) {
  chip.press_power_button();
  EXPECT_FALSE(sci.level);
  EXPECT_FALSE(chip.power_button_enabled());
  out(Reg::PM1_STS, 0xFFFF);
  out(Reg::PM1_EN, pm1::PWRBTN);
  EXPECT_TRUE(chip.power_button_enabled());
  EXPECT_FALSE(sci.level);
  chip.press_power_button();
  EXPECT_TRUE(sci.level);
  EXPECT_EQ(in(Reg::PM1_STS), pm1::PWRBTN);
  out(Reg::PM1_STS, pm1::PWRBTN);
  EXPECT_FALSE(sci.level);
}

TEST_F(Acpi, GeneralPurposeEventsRaiseTheSci) {
  out(Reg::GPE0_EN, bit(9));
  chip.raise_gpe(8);
  EXPECT_FALSE(sci.level);
  chip.raise_gpe(9);
  chip.raise_gpe(1000);
  EXPECT_TRUE(sci.level);
  EXPECT_EQ(in(Reg::GPE0_STS), bit(8) | bit(9));
  // A 4-byte block read and written as bytes, as ACPICA does with GPE blocks.
  out(static_cast<Reg>(raw(Reg::GPE0_STS) + 1), 2, 1);
  EXPECT_FALSE(sci.level);
  EXPECT_EQ(in(Reg::GPE0_STS), bit(8));
}

TEST_F(Acpi, SoftOffSwitchesOff) {
  out(Reg::PM1_CNT, 1U << cnt::kSleepTypeShift | cnt::SLP_EN);
  EXPECT_TRUE(power.requests.empty()) << "no such state";
  out(Reg::PM1_CNT, kS5SleepType << cnt::kSleepTypeShift);
  EXPECT_TRUE(power.requests.empty());
  out(Reg::PM1_CNT, kS5SleepType << cnt::kSleepTypeShift | cnt::SLP_EN | cnt::SCI_EN);
  ASSERT_EQ(power.requests.size(), 1U);
  EXPECT_EQ(power.requests[0], vm::PowerControl::Request::PowerOff);
  EXPECT_EQ(in(Reg::PM1_CNT)&cnt::SLP_EN, 0U) << "reads as zero";
}

TEST_F(Acpi, GoesOnFromASavedState) {
  clock.advance(3000 * kSecond);
  out(Reg::PM1_EN, pm1::PWRBTN | pm1::TMR);
  out(Reg::GPE0_EN, 0x1234);
  chip.press_power_button();
  const auto saved = chip.save();
  test::FakeLine other_sci;
  AcpiPm other(other_sci, clock, power);
  ASSERT_TRUE(other.load(saved));
  EXPECT_TRUE(other_sci.level);
  EXPECT_EQ(other.port_read(static_cast<u16>(Reg::PM1_STS), 4), in(Reg::PM1_STS, 4));
  EXPECT_EQ(other.save().bytes, saved.bytes);
  EXPECT_FALSE(other.load(test::truncated(saved)));
}

}  // namespace
}  // namespace vireo::dev
