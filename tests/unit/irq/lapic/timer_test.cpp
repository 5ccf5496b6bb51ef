#include "unit/irq/lapic/apic_fixture.h"

namespace vireo::irq {
namespace {

struct ApicTimerTest : ApicTest {
  static constexpr u32 kOneShot = 0, kPeriodic = 1U << 17, kDeadline = 2U << 17, kMasked = 1U << 16;
  static constexpr u32 kVector = 0xEC;
  void set_lvt(u32 value) { first.mmio_write(0x320, value); }
  void set_count(u32 value) { first.mmio_write(0x380, value); }
  u32 count() { return first.mmio_read(0x390); }
  void divide_by_1() { first.mmio_write(0x3E0, 0xB); }
  unsigned interrupts() {
    unsigned n = 0;
    while (take(first)) {
      first.mmio_write(0xB0, 0);
      ++n;
    }
    return n;
  }
};

TEST_F(ApicTimerTest, FiresOnceInOneShotMode) {
  divide_by_1();
  set_lvt(kOneShot | kVector);
  set_count(1'000'000);
  clock.advance(400'000);
  EXPECT_EQ(count(), 600'000U);
  EXPECT_EQ(interrupts(), 0U);
  clock.advance(600'000);
  EXPECT_EQ(count(), 0U);
  EXPECT_EQ(interrupts(), 1U);
  clock.advance(5'000'000);
  EXPECT_EQ(interrupts(), 0U);
  EXPECT_FALSE(clock.any_armed());
}

TEST_F(ApicTimerTest, DividesItsInput) {
  constexpr std::array<std::pair<u32, u32>, 8> kCodes{
      {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}}};
  set_lvt(kOneShot | kVector);
  for (const auto& [code, divisor] : kCodes) {
    first.mmio_write(0x3E0, code);
    set_count(1000);
    clock.advance(100 * divisor);
    EXPECT_EQ(count(), 900U) << divisor;
  }
}

TEST_F(ApicTimerTest, FiresPeriodically) {
  divide_by_1();
  set_lvt(kPeriodic | kVector);
  set_count(1'000'000);
  for (int i = 0; i < 5; ++i) {
    clock.advance(1'000'000);
    EXPECT_EQ(interrupts(), 1U);
  }
  clock.advance(3'250'000);  // ticks that were missed are one
  EXPECT_EQ(interrupts(), 1U);
  EXPECT_EQ(count(), 750'000U);
  set_count(0);
  EXPECT_FALSE(clock.any_armed());
}

TEST_F(ApicTimerTest, BoundsAVeryShortPeriod) {
  divide_by_1();
  set_lvt(kPeriodic | kVector);
  set_count(1);
  interrupts();
  const unsigned before = clock.fired;
  for (int i = 0; i < 1000; ++i) {
    clock.advance(1000);
    interrupts();
  }
  EXPECT_LE(clock.fired - before, 21U);
}

TEST_F(ApicTimerTest, CountsButDoesNotFireWhileMasked) {
  divide_by_1();
  set_lvt(kMasked | kPeriodic | kVector);
  set_count(1'000'000);
  EXPECT_FALSE(clock.any_armed());
  clock.advance(2'400'000);
  EXPECT_EQ(count(), 600'000U);
  EXPECT_EQ(clock.fired, 0U);
  set_lvt(kPeriodic | kVector);
  EXPECT_EQ(interrupts(), 0U);
  clock.advance(600'000);
  EXPECT_EQ(interrupts(), 1U);
  set_lvt(kMasked | kPeriodic | kVector);
  EXPECT_FALSE(clock.any_armed());
}

TEST_F(ApicTimerTest, KeepsCountingBetweenOneShotAndPeriodic) {
  divide_by_1();
  set_lvt(kMasked | kOneShot);
  set_count(1'000'000);
  clock.advance(600'000);
  set_lvt(kMasked | kPeriodic);
  EXPECT_EQ(count(), 400'000U);
  clock.advance(500'000);
  EXPECT_EQ(count(), 900'000U);
  set_lvt(kMasked | kOneShot);
  clock.advance(900'000);
  EXPECT_EQ(count(), 0U);
  set_lvt(kMasked | kPeriodic);
  EXPECT_EQ(count(), 0U);
  EXPECT_EQ(first.mmio_read(0x380), 1'000'000U);
}

TEST_F(ApicTimerTest, FiresAtItsTscDeadline) {
  set_lvt(kDeadline | kVector);
  first.set_tsc_offset(1000);
  clock.advance(100);
  first.write_msr(msr::IA32_TSC_DEADLINE, clock.tsc() + 1000 + 2'000'000);  // 1 ms
  EXPECT_EQ(rdmsr(first, msr::IA32_TSC_DEADLINE), 2'001'200U);
  clock.advance(999'999);
  EXPECT_EQ(interrupts(), 0U);
  clock.advance(2);
  EXPECT_EQ(interrupts(), 1U);
  EXPECT_EQ(rdmsr(first, msr::IA32_TSC_DEADLINE), 0U);
  set_count(1000);
  EXPECT_EQ(count(), 0U);
}

TEST_F(ApicTimerTest, FiresAtOnceForADeadlineThatHasPassed) {
  set_lvt(kDeadline | kVector);
  clock.advance(1000);
  first.write_msr(msr::IA32_TSC_DEADLINE, 1);
  EXPECT_EQ(interrupts(), 1U);
  EXPECT_FALSE(clock.any_armed());
}

TEST_F(ApicTimerTest, FollowsAChangeOfTheTscOffset) {
  set_lvt(kDeadline | kVector);
  first.write_msr(msr::IA32_TSC_DEADLINE, 2'000'000);
  first.set_tsc_offset(2'000'000 - 200);
  clock.advance(101);
  EXPECT_EQ(interrupts(), 1U);
}

TEST_F(ApicTimerTest, SurvivesAbsurdDeadlinesAndOffsets) {
  set_lvt(kDeadline | kVector);
  for (const u64 offset : {u64{0}, ~u64{0}, u64{1} << 63}) {
    first.set_tsc_offset(offset);
    first.write_msr(msr::IA32_TSC_DEADLINE, ~u64{0});
    clock.advance(1000);
    EXPECT_EQ(interrupts(), 0U);
  }
}

TEST_F(ApicTimerTest, StopsWhenItEntersOrLeavesDeadlineMode) {
  divide_by_1();
  set_lvt(kPeriodic | kVector);
  set_count(1'000'000);
  set_lvt(kDeadline | kVector);
  EXPECT_EQ(first.mmio_read(0x380), 0U);
  EXPECT_FALSE(clock.any_armed());
  first.write_msr(msr::IA32_TSC_DEADLINE, 5'000'000);
  set_lvt(kOneShot | kVector);
  EXPECT_EQ(rdmsr(first, msr::IA32_TSC_DEADLINE), 0U);
  EXPECT_FALSE(clock.any_armed());
  first.write_msr(msr::IA32_TSC_DEADLINE, 5'000'000);
  EXPECT_EQ(rdmsr(first, msr::IA32_TSC_DEADLINE), 0U);
}

TEST_F(ApicTimerTest, IgnoresAnAlarmMeantForAnEarlierSetting) {
  divide_by_1();
  set_lvt(kOneShot | kVector);
  set_count(1'000'000);
  clock.advance(1'000'000);  // fired, not yet looked at
  set_count(2'000'000);      // the interrupt of the first count is due, the new count runs
  EXPECT_EQ(interrupts(), 1U);
  clock.advance(1'999'999);
  EXPECT_EQ(interrupts(), 0U);
  clock.advance(1);
  EXPECT_EQ(interrupts(), 1U);
}

TEST_F(ApicTimerTest, IsStoppedByInit) {
  divide_by_1();
  set_lvt(kPeriodic | kVector);
  set_count(1'000'000);
  first.init();
  EXPECT_FALSE(clock.any_armed());
  EXPECT_EQ(first.mmio_read(0x380), 0U);
}

TEST_F(ApicTimerTest, GoesOnFromASavedCount) {
  divide_by_1();
  set_lvt(kPeriodic | kVector);
  set_count(1'000'000);
  clock.advance(300'000);
  auto saved = first.state();
  EXPECT_EQ(saved.timer_remaining_ns, 700'000U);
  EXPECT_EQ(saved.regs[apic::CURRENT_COUNT], 700'000U);
  clock.advance(50);
  first.set_state(saved);
  EXPECT_EQ(count(), 700'000U);
  saved.timer_remaining_ns = 0;  // KVM tells the count alone
  first.set_state(saved);
  EXPECT_EQ(count(), 700'000U);
  clock.advance(700'000);
  EXPECT_EQ(interrupts(), 1U);
  clock.advance(1'000'000);
  EXPECT_EQ(interrupts(), 1U);
}

TEST_F(ApicTimerTest, GoesOnFromASavedDeadline) {
  set_lvt(kDeadline | kVector);
  first.write_msr(msr::IA32_TSC_DEADLINE, 2'000'000);
  const auto saved = first.state();
  EXPECT_EQ(saved.tsc_deadline, 2'000'000U);
  first.init();
  first.set_state(saved);
  clock.advance(1'000'001);
  EXPECT_EQ(interrupts(), 1U);
}

}  // namespace
}  // namespace vireo::irq
