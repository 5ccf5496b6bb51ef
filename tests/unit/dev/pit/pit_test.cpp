#include "dev/pit/pit.h"

#include <gtest/gtest.h>

#include "unit/dev/fakes.h"

namespace vireo::dev {
namespace {

using namespace pit;
constexpr u64 kSecond = 1'000'000'000;

class Timer : public testing::Test {
 protected:
  u8 in(u16 port) { return static_cast<u8>(chip.port_read(port, 1)); }
  void out(u16 port, u8 value) { chip.port_write(port, 1, value); }
  void program(unsigned counter, Mode mode, u16 count, bool bcd = false) {
    out(kControl, static_cast<u8>(counter << 6 | 0x30 | static_cast<u8>(mode) << 1 | (bcd ? 1 : 0)));
    out(static_cast<u16>(counter), static_cast<u8>(count));
    out(static_cast<u16>(counter), static_cast<u8>(count >> 8));
  }
  u16 count(unsigned counter) {
    out(kControl, static_cast<u8>(counter << 6));
    const u8 low = in(static_cast<u16>(counter));
    return static_cast<u16>(low | in(static_cast<u16>(counter)) << 8);
  }
  u8 speaker() { return static_cast<u8>(chip.port61().port_read(0, 1)); }
  bool out2() { return (speaker() & port61::Out2) != 0; }
  void gate2(bool on) { chip.port61().port_write(0, 1, on ? port61::Gate2 : 0); }
  /// To the moment of a tick, counted from the first call.
  void to_tick(u64 tick) { clock.advance((tick * kSecond + kHz - 1) / kHz - clock.now_ns()); }

  test::FakeClock clock;
  test::FakeLine irq;
  Pit chip{irq, clock};
};

TEST_F(Timer, CountsDownAtTheRateOfItsInputClock) {
  program(0, Mode::RateGenerator, 0);
  clock.advance(10'000'000);
  EXPECT_NEAR(count(0), 65536 - 11931, 2);
}

TEST_F(Timer, InterruptsPeriodicallyWithoutDrift) {
  program(0, Mode::RateGenerator, 4773);  // Linux's LATCH at 250 Hz
  const unsigned before = irq.edges;
  clock.advance(100 * kSecond);
  EXPECT_EQ(irq.edges - before, 100 * kHz / 4773);
  EXPECT_EQ(clock.expirations, irq.edges - before);
}

TEST_F(Timer, ASquareWaveInterruptsOncePerPeriod) {
  program(0, Mode::SquareWave, 0);
  const unsigned before = irq.edges;
  clock.advance(10 * kSecond);
  EXPECT_EQ(irq.edges - before, 10 * kHz / 65536);
}

TEST_F(Timer, LateTicksAreMadeUpForWithinBounds) {
  program(0, Mode::RateGenerator, 1193);  // 1 kHz
  clock.advance(kSecond);
  unsigned before = irq.edges;
  clock.oversleep(5'000'000);
  clock.advance(20'000'000);
  EXPECT_NEAR(irq.edges - before, 25, 1) << "nothing lost";
  before = irq.edges;
  clock.oversleep(10 * kSecond);
  EXPECT_LE(irq.edges - before, 2U);
  clock.advance(20'000'000);
  EXPECT_NEAR(irq.edges - before, 20 + Pit::kBacklog, 2) << "only a bounded number is made up for";
  before = irq.edges;
  clock.advance(kSecond);
  EXPECT_NEAR(irq.edges - before, 1000, 1);
}

TEST_F(Timer, TheFastestRateIsLimited) {
  program(0, Mode::RateGenerator, 1);
  clock.advance(kSecond / 10);
  EXPECT_LE(clock.expirations, 2100U);
}

TEST_F(Timer, OneShotsOfLinuxFireOnceEach) {
  out(kControl, 0x38);  // mode 4, both bytes: pit_set_oneshot()
  for (int i = 0; i < 3; ++i) {
    const unsigned before = irq.edges;
    out(0, 0x52);
    out(0, 0x12);
    clock.advance((0x1252 - 2) * kSecond / kHz);
    EXPECT_EQ(irq.edges, before);
    clock.advance(10'000);
    EXPECT_EQ(irq.edges, before + 1);
    clock.advance(kSecond);
    EXPECT_EQ(irq.edges, before + 1);
  }
  out(kControl, 0x30);  // pit_shutdown()
  out(0, 0);
  out(0, 0);
  clock.advance(kSecond);
  out(kControl, 0x30);
  EXPECT_EQ(clock.armed(), 0U);
}

TEST_F(Timer, ModeZeroRaisesItsOutputAtTheTerminalCount) {
  gate2(true);
  program(2, Mode::InterruptOnTerminalCount, 1000);
  EXPECT_FALSE(out2());
  to_tick(1000);
  EXPECT_FALSE(out2());
  to_tick(1001);
  EXPECT_TRUE(out2()) << "N + 1 clocks after the write";
  to_tick(1011);
  EXPECT_EQ(count(2), 0xFFF6);
}

TEST_F(Timer, TheGateHoldsModeZero) {
  gate2(true);
  program(2, Mode::InterruptOnTerminalCount, 1000);
  to_tick(501);
  EXPECT_EQ(count(2), 500);
  gate2(false);
  to_tick(10'000);
  EXPECT_EQ(count(2), 500);
  EXPECT_FALSE(out2());
  gate2(true);
  to_tick(10'500);
  EXPECT_FALSE(out2());
  to_tick(10'501);
  EXPECT_TRUE(out2());
}

TEST_F(Timer, LinuxCalibratesAgainstCounter2) {
  // pit_calibrate_tsc() in arch/x86/kernel/tsc.c: mode 0, gate on, wait for OUT at port 0x61 bit 5.
  chip.port61().port_write(0, 1, static_cast<u32>((speaker() & ~2) | 1));
  program(2, Mode::InterruptOnTerminalCount, 11931);  // 10 ms
  const u64 start = clock.now_ns();
  while (!out2()) clock.advance(1000);
  EXPECT_NEAR(static_cast<double>(clock.now_ns() - start), 1e7, 5000);
}

TEST_F(Timer, QuickCalibrationSeesTheHighByteFall) {
  // quick_pit_calibrate(): mode 0, count 0xFFFF, unlatched reads of both bytes.
  gate2(true);
  program(2, Mode::InterruptOnTerminalCount, 0xFFFF);
  clock.advance(1000);
  in(2);
  EXPECT_EQ(in(2), 0xFF);
  clock.advance(256 * kSecond / kHz);
  in(2);
  EXPECT_EQ(in(2), 0xFE);
}

TEST_F(Timer, ModeOneIsRetriggeredByTheGate) {
  program(2, Mode::OneShot, 100);
  EXPECT_TRUE(out2());
  to_tick(50);
  EXPECT_TRUE(out2()) << "waits for the trigger";
  gate2(true);
  to_tick(51);
  EXPECT_FALSE(out2());
  to_tick(100);
  gate2(false);
  gate2(true);
  to_tick(200);
  EXPECT_FALSE(out2());
  to_tick(201);
  EXPECT_TRUE(out2());
}

TEST_F(Timer, ModeTwoIsLowForOneClock) {
  gate2(true);
  program(2, Mode::RateGenerator, 10);
  to_tick(1 + 8);
  EXPECT_TRUE(out2());
  to_tick(1 + 9);
  EXPECT_FALSE(out2());
  EXPECT_EQ(count(2), 1);
  to_tick(1 + 10);
  EXPECT_TRUE(out2());
  EXPECT_EQ(count(2), 10);
}

TEST_F(Timer, ANewRateTakesOverAtTheEndOfTheCycle) {
  gate2(true);
  program(2, Mode::RateGenerator, 100);
  to_tick(51);
  out(2, 20);
  out(2, 0);
  to_tick(100);
  EXPECT_EQ(count(2), 1);
  to_tick(101);
  EXPECT_EQ(count(2), 20);
}

TEST_F(Timer, ModeThreeIsHighForTheLargerHalf) {
  gate2(true);
  program(2, Mode::SquareWave, 5);
  std::string wave;
  for (u64 tick = 1; tick <= 10; ++tick) {
    to_tick(tick);
    wave += out2() ? 'H' : 'L';
  }
  EXPECT_EQ(wave, "HHHLLHHHLL");
  gate2(false);
  EXPECT_TRUE(out2()) << "a low gate raises the output at once";
}

TEST_F(Timer, ModeFourAndFiveStrobeForOneClock) {
  gate2(true);
  program(2, Mode::SoftwareStrobe, 5);
  to_tick(5);
  EXPECT_TRUE(out2());
  to_tick(6);
  EXPECT_FALSE(out2());
  to_tick(7);
  EXPECT_TRUE(out2());
  gate2(false);
  program(2, Mode::HardwareStrobe, 5);
  to_tick(20);
  gate2(true);
  to_tick(25);
  EXPECT_TRUE(out2());
  to_tick(26);
  EXPECT_FALSE(out2());
  to_tick(27);
  EXPECT_TRUE(out2());
}

TEST_F(Timer, CountsInBcd) {
  gate2(true);
  program(2, Mode::InterruptOnTerminalCount, 0x1000, true);
  to_tick(2);
  EXPECT_EQ(count(2), 0x0999);
  to_tick(1002);
  EXPECT_EQ(count(2), 0x9999);
  program(2, Mode::RateGenerator, 0, true);
  clock.advance(10'000);
  EXPECT_LE(count(2), 0x9999);
}

TEST_F(Timer, LatchesStandUntilTheyAreRead) {
  program(0, Mode::RateGenerator, 50'000);
  clock.advance(1'000'000);
  out(kControl, 0x00);
  clock.advance(1'000'000);
  out(kControl, 0x00);  // no effect: one is held
  const u8 low = in(0);
  EXPECT_NEAR(low | in(0) << 8, 50'000 - 1193, 2);
  EXPECT_NEAR(count(0), 50'000 - 2386, 2);
}

TEST_F(Timer, ReadBackGivesStatusAndCount) {
  program(0, Mode::SquareWave, 50'000);
  clock.advance(1'000'000);
  out(kControl, 0xC2);  // both, counter 0
  EXPECT_EQ(in(0), status::Output | 0x30 | 3 << 1);
  const u8 low = in(0);
  EXPECT_NEAR(low | in(0) << 8, 50'000 - 2 * 1193, 4);
  out(kControl, 0x38);
  out(kControl, 0xE2);  // status only
  EXPECT_EQ(in(0), status::Output | status::NullCount | 0x30 | 4 << 1);
  EXPECT_EQ(in(kControl), 0xFF);
}

TEST_F(Timer, SingleByteAccess) {
  out(kControl, 0x14);  // counter 0, low byte, mode 2
  out(0, 200);
  clock.advance(10 * kSecond / kHz);
  EXPECT_NEAR(in(0), 190, 2);
  out(kControl, 0x24);  // high byte
  out(0, 2);
  clock.advance(10 * kSecond / kHz);
  EXPECT_EQ(in(0), 1);
}

TEST_F(Timer, TheRefreshBitToggles) {
  const u8 first = speaker() & port61::Refresh;
  clock.advance(port61::kRefreshNs);
  EXPECT_NE(speaker() & port61::Refresh, first);
  chip.port61().port_write(0, 1, 0xFF);
  EXPECT_EQ(speaker() & port61::kWritable, 0x0F);
}

TEST_F(Timer, GoesOnFromASavedState) {
  gate2(true);
  program(0, Mode::RateGenerator, 11'932);
  program(2, Mode::SquareWave, 1000);
  clock.advance(15'000'000);
  const auto saved = chip.save();
  test::FakeLine other_irq;
  Pit other(other_irq, clock);
  ASSERT_TRUE(other.load(saved));
  EXPECT_EQ(other.save().bytes, saved.bytes);
  const unsigned before = other_irq.edges, mine = irq.edges;
  clock.advance(kSecond);
  EXPECT_EQ(other_irq.edges - before, irq.edges - mine);
  EXPECT_EQ(other.port61().port_read(0, 1), chip.port61().port_read(0, 1));
}

TEST_F(Timer, RefusesACorruptState) {
  program(0, Mode::RateGenerator, 1000);
  const vm::StateRecord good = chip.save();
  EXPECT_FALSE(chip.load(test::truncated(good)));
  for (std::size_t i = 0; i < good.bytes.size(); ++i) {
    vm::StateRecord bad = good;
    bad.bytes[i] = 0xFF;
    if (!chip.load(bad)) {
      EXPECT_EQ(chip.save().bytes, good.bytes) << i;
    }
    ASSERT_TRUE(chip.load(good));
  }
}

/// What was taken can be given and taken again, whatever happens meanwhile.
TEST_F(Timer, RefusesTimesThatAreYetToCome) {
  clock.advance(kSecond);
  gate2(true);
  program(2, Mode::InterruptOnTerminalCount, 1000);
  gate2(false);
  const vm::StateRecord good = chip.save();
  pit::State state;
  for (const unsigned which : {0u, 1u, 2u}) {
    ASSERT_TRUE(vm::load_fields(good, state));
    auto& counter = state.counter[2];
    ASSERT_TRUE(counter.counting && counter.frozen);
    (which == 0 ? counter.frozen_after : which == 1 ? counter.start : counter.next_at) = u64{1} << 61;
    if (which == 2) {
      counter.mode = Mode::RateGenerator;
      counter.next_count = 1000;
    }
    EXPECT_FALSE(chip.load(vm::save_fields("pit", state))) << which;
  }
  ASSERT_TRUE(chip.load(good));
  gate2(true);
  EXPECT_TRUE(chip.load(chip.save()));
}

}  // namespace
}  // namespace vireo::dev
