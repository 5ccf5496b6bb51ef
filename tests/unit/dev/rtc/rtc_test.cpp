#include "dev/rtc/rtc.h"

#include <gtest/gtest.h>

#include "unit/dev/fakes.h"

namespace vireo::dev {
namespace {

using namespace rtc;
constexpr u64 kSecond = 1'000'000'000;
constexpr u64 kNoon = 1'709'208'000;  // 2024-02-29 12:00:00 UTC, a Thursday

class Clock : public testing::Test {
 protected:
  Clock() { clock.wall_at_zero = kNoon * kSecond; }
  static u8 read(Rtc& chip, u8 location) {
    chip.port_write(0, 1, location);
    return static_cast<u8>(chip.port_read(1, 1));
  }
  u8 read(u8 location) { return read(*chip, location); }
  void write(u8 location, u8 value) {
    chip->port_write(0, 1, location);
    chip->port_write(1, 1, value);
  }
  void set_alarm(u8 hours, u8 minutes, u8 seconds) {
    write(HoursAlarm, hours);
    write(MinutesAlarm, minutes);
    write(SecondsAlarm, seconds);
  }

  test::FakeClock clock;
  test::FakeLine irq;
  // After the wall clock is set.
  std::unique_ptr<Rtc> chip = [this] {
    clock.wall_at_zero = kNoon * kSecond;
    return std::make_unique<Rtc>(irq, clock);
  }();
};

TEST_F(Clock, ShowsTheWallClockInBcd) {
  clock.advance((3600 + 23 * 60 + 45) * kSecond);
  EXPECT_EQ(read(Hours), 0x13);
  EXPECT_EQ(read(Minutes), 0x23);
  EXPECT_EQ(read(Seconds), 0x45);
  EXPECT_EQ(read(DayOfMonth), 0x29);
  EXPECT_EQ(read(Month), 0x02);
  EXPECT_EQ(read(Year), 0x24);
  EXPECT_EQ(read(Century), 0x20);
  EXPECT_EQ(read(DayOfWeek), 5);
  EXPECT_EQ(read(RegisterD), reg_d::VRT);
  clock.advance(11 * 3600 * kSecond);
  EXPECT_EQ(read(DayOfMonth), 0x01);
  EXPECT_EQ(read(Month), 0x03);
  EXPECT_EQ(clock.armed(), 0U);
}

TEST_F(Clock, ShowsBinaryAndTwelveHours) {
  write(RegisterB, reg_b::DM);
  EXPECT_EQ(read(Hours), kPm | 12);
  clock.advance(11 * 3600 * kSecond);
  EXPECT_EQ(read(Hours), kPm | 11);
  clock.advance(3600 * kSecond);
  EXPECT_EQ(read(Hours), 12);
  clock.advance(3600 * kSecond);
  EXPECT_EQ(read(Hours), 1);
  write(RegisterB, reg_b::DM | reg_b::H24);
  clock.advance(20 * 3600 * kSecond);
  EXPECT_EQ(read(Hours), 21);
  EXPECT_EQ(read(Year), 24);
}

TEST_F(Clock, CanBeSet) {
  // mc146818_set_time() in Linux
  clock.advance(700'000'000);
  const u8 b = read(RegisterB), a = read(RegisterA);
  write(RegisterB, b | reg_b::SET);
  write(RegisterA, static_cast<u8>(a | 0x70));
  write(Year, 0x99);
  write(Month, 0x12);
  write(DayOfMonth, 0x31);
  write(Hours, 0x23);
  write(Minutes, 0x59);
  write(Seconds, 0x59);
  write(Century, 0x19);
  EXPECT_EQ(read(Seconds), 0x59);
  clock.advance(5 * kSecond);
  EXPECT_EQ(read(Seconds), 0x59) << "stands while it is set";
  write(RegisterB, b);
  write(RegisterA, a & 0x7F);
  clock.advance(499'000'000);
  EXPECT_EQ(read(Year), 0x99);
  clock.advance(2'000'000);
  EXPECT_EQ(read(Century), 0x20) << "half a second after the divider was released";
  EXPECT_EQ(read(Year), 0x00);
  EXPECT_EQ(read(Month), 0x01);
  EXPECT_EQ(read(Seconds), 0x00);
}

TEST_F(Clock, CanBeSetWhileItRuns) {
  write(Hours, 0x05);
  clock.advance(60 * kSecond);
  EXPECT_EQ(read(Hours), 0x05);
  EXPECT_EQ(read(Minutes), 0x01);
  write(DayOfWeek, 1);
  EXPECT_EQ(read(DayOfWeek), 1);
  clock.advance(86400 * kSecond);
  EXPECT_EQ(read(DayOfWeek), 2);
}

TEST_F(Clock, AnnouncesUpdates) {
  clock.advance(500'000'000);
  EXPECT_EQ(read(RegisterA) & reg_a::UIP, 0);
  clock.advance(499'900'000);
  EXPECT_EQ(read(RegisterA) & reg_a::UIP, reg_a::UIP);
  clock.advance(200'000);
  EXPECT_EQ(read(RegisterA) & reg_a::UIP, 0);
  EXPECT_EQ(read(Seconds), 0x01);
}

TEST_F(Clock, InterruptsAfterEachUpdate) {
  clock.advance(300'000'000);
  read(RegisterC);
  write(RegisterB, reg_b::H24 | reg_b::UIE);
  EXPECT_FALSE(irq.level);
  clock.advance(699'000'000);
  EXPECT_FALSE(irq.level);
  clock.advance(1'000'000);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(clock.armed(), 0U) << "no further edge before register C is read";
  EXPECT_EQ(read(RegisterC) & (reg_c::IRQF | reg_c::UF), reg_c::IRQF | reg_c::UF);
  EXPECT_FALSE(irq.level);
  clock.advance(kSecond);
  EXPECT_TRUE(irq.level);
}

TEST_F(Clock, InterruptsAtTheAlarm) {
  set_alarm(0x12, 0x00, 0x30);
  read(RegisterC);
  write(RegisterB, reg_b::H24 | reg_b::AIE);
  clock.advance(29'900'000'000);
  EXPECT_FALSE(irq.level);
  clock.advance(100'000'000);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(read(RegisterC) & (reg_c::IRQF | reg_c::AF), reg_c::IRQF | reg_c::AF);
  clock.advance(86'399 * kSecond);
  EXPECT_FALSE(irq.level);
  clock.advance(kSecond);
  EXPECT_TRUE(irq.level) << "every day";
}

TEST_F(Clock, AlarmBytesCanMatchAnything) {
  set_alarm(0xFF, 0xFF, 0x15);
  write(RegisterB, reg_b::H24 | reg_b::AIE);
  read(RegisterC);
  unsigned count = 0;
  for (unsigned second = 0; second < 600; ++second) {
    clock.advance(kSecond);
    if (irq.level) ++count;
    read(RegisterC);
  }
  EXPECT_EQ(count, 10U);
}

TEST_F(Clock, AnAlarmThatTheWallClockJumpedOverStillRings) {
  set_alarm(0x18, 0x00, 0x00);
  read(RegisterC);
  write(RegisterB, reg_b::H24 | reg_b::AIE);
  clock.advance(kSecond);
  clock.wall_at_zero += 7 * 3600 * kSecond;  // the VM was paused for seven hours
  clock.advance(10 * kSecond);
  EXPECT_TRUE(irq.level);
}

TEST_F(Clock, AnImpossibleAlarmNeverRings) {
  set_alarm(0x99, 0x99, 0x99);
  write(RegisterB, reg_b::H24 | reg_b::AIE);
  EXPECT_EQ(clock.armed(), 0U);
}

TEST_F(Clock, InterruptsPeriodically) {
  write(RegisterA, reg_a::kDvRun | 6);  // 1024 Hz
  write(RegisterB, reg_b::H24 | reg_b::PIE);
  read(RegisterC);
  const unsigned before = irq.edges;
  for (unsigned i = 0; i < 10'000; ++i) {
    clock.advance(100'000);
    if (irq.level) {
      EXPECT_EQ(read(RegisterC) & reg_c::PF, reg_c::PF);
    }
  }
  EXPECT_NEAR(irq.edges - before, 1024, 1);
  clock.advance(kSecond);
  const unsigned late = clock.expirations;
  clock.advance(kSecond);
  EXPECT_EQ(clock.expirations, late) << "costs nothing while nobody reads register C";
}

TEST_F(Clock, PollingSeesFlagsWithoutInterrupts) {
  read(RegisterC);
  clock.advance(1'100'000'000);
  EXPECT_EQ(read(RegisterC), reg_c::UF | reg_c::PF);
  EXPECT_EQ(read(RegisterC) & reg_c::UF, 0);
  EXPECT_EQ(irq.edges, 0U);
}

TEST_F(Clock, HoldsTheMemorySizes) {
  chip->set_memory_size(3 * kGiB, 2 * kGiB);
  EXPECT_EQ(read(0x15) | read(0x16) << 8, 640);
  EXPECT_EQ(read(0x17) | read(0x18) << 8, 0xFFFF);
  EXPECT_EQ(read(0x34) | read(0x35) << 8, (3 * 1024 - 16) * 16);
  EXPECT_EQ(read(0x5B) | read(0x5C) << 8 | read(0x5D) << 16, 0x8000);
  write(0x40, 0x99);
  chip->reset();
  EXPECT_EQ(read(0x40), 0x99);
}

TEST_F(Clock, PortSeventyMasksNmi) {
  chip->port_write(0, 1, 0x80 | Seconds);
  EXPECT_TRUE(chip->nmi_masked());
  EXPECT_EQ(chip->port_read(1, 1), 0U);
  chip->port_write(0, 1, Seconds);
  EXPECT_FALSE(chip->nmi_masked());
  chip->port_write(0, 2, 0x5540);  // a word is an index and a datum
  EXPECT_EQ(read(0x40), 0x55);
}

TEST_F(Clock, GoesOnFromASavedState) {
  write(Hours, 0x05);
  write(0x40, 0x12);
  write(RegisterB, reg_b::H24 | reg_b::UIE);
  clock.advance(300'000'000);
  const auto saved = chip->save();
  test::FakeLine other_irq;
  Rtc other(other_irq, clock);
  ASSERT_TRUE(other.load(saved));
  EXPECT_EQ(read(other, Hours), 0x05);
  EXPECT_EQ(read(other, 0x40), 0x12);
  EXPECT_FALSE(other_irq.level);
  clock.advance(kSecond);
  EXPECT_TRUE(other_irq.level);
}

TEST_F(Clock, RefusesACorruptState) {
  const vm::StateRecord good = chip->save();
  EXPECT_FALSE(chip->load(test::truncated(good)));
  for (std::size_t i = 0; i < good.bytes.size(); ++i) {
    vm::StateRecord bad = good;
    bad.bytes[i] = 0xFF;
    if (!chip->load(bad)) {
      EXPECT_EQ(chip->save().bytes, good.bytes) << i;
    }
    ASSERT_TRUE(chip->load(good));
  }
}

TEST_F(Clock, AStateAtTheEdgeOfWhatIsAcceptedCanBeSavedAgain) {
  State state;
  vm::StateRecord record = chip->save();
  ASSERT_TRUE(vm::load_fields(record, state));
  state.offset_seconds = (i64{1} << 40) - 1;
  ASSERT_TRUE(chip->load(vm::save_fields("rtc", state)));
  EXPECT_TRUE(chip->load(chip->save()));
}

TEST_F(Clock, SurvivesNonsenseInEveryTimeRegister) {
  for (unsigned value = 0; value < 256; ++value) {
    for (const u8 b : {0, 2, 4, 6}) {
      write(RegisterB, static_cast<u8>(b | reg_b::SET));
      for (const u8 location : {Seconds, Minutes, Hours, DayOfWeek, DayOfMonth, Month, Year, Century}) {
        write(location, static_cast<u8>(value));
      }
      write(RegisterB, b);
      clock.advance(kSecond);
      ASSERT_TRUE(chip->load(chip->save())) << value;
    }
  }
}

}  // namespace
}  // namespace vireo::dev
