#include "vm/clock/vm_clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "host/tsc.h"

namespace vireo::vm {
namespace {

using namespace std::chrono_literals;

class Clocks : public testing::Test {
 protected:
  Clocks() : thread([this] { loop->run(); }) {}
  ~Clocks() override {
    loop->stop();
    thread.join();
  }
  std::unique_ptr<host::Loop> loop = std::move(*host::Loop::create());
  std::thread thread;
};

TEST_F(Clocks, TheKernelAndTheCalibrationAgree) {
  const u64 told = host::tsc_khz_from_kernel();
  if (told == 0) GTEST_SKIP() << "the kernel does not tell: perf_event_paranoid, or its own clock is a hypervisor's";
  const u64 measured = host::tsc_khz_by_calibration();
  EXPECT_NEAR(static_cast<double>(measured), static_cast<double>(told), static_cast<double>(told) * 50e-6);
}

TEST_F(Clocks, CalibrationsAgreeWithEachOther) {
  const auto first = static_cast<double>(host::tsc_khz_by_calibration());
  EXPECT_NEAR(static_cast<double>(host::tsc_khz_by_calibration()), first, first * 100e-6);
}

TEST_F(Clocks, StandsUntilItIsResumedAndWhilePaused) {
  VmClock clock(*loop, host::tsc_khz());
  std::this_thread::sleep_for(2ms);
  EXPECT_EQ(clock.now_ns(), 0U);
  EXPECT_TRUE(clock.paused());
  clock.resume();
  clock.resume();
  std::this_thread::sleep_for(5ms);
  clock.pause();
  const u64 ns = clock.now_ns(), tsc = clock.tsc();
  EXPECT_GE(ns, 5'000'000U);
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(clock.now_ns(), ns);
  EXPECT_EQ(clock.tsc(), tsc);
  clock.resume();
  const u64 after = clock.now_ns();
  EXPECT_GE(after, ns);
  EXPECT_LT(after, ns + 4'000'000);
}

TEST_F(Clocks, RunsAtTheRateOfTheHost) {
  VmClock clock(*loop, host::tsc_khz());
  clock.resume();
  const u64 host = host::Loop::now_ns(), guest = clock.now_ns();
  std::this_thread::sleep_for(200ms);
  const auto host_passed = static_cast<double>(host::Loop::now_ns() - host);
  EXPECT_NEAR(static_cast<double>(clock.now_ns() - guest), host_passed, host_passed * 500e-6);  // what NTP may steer
}

TEST_F(Clocks, ConvertsBetweenItsUnits) {
  for (const u64 khz : {999'983ULL, 1'000'000ULL, 2'649'999ULL, 5'100'001ULL}) {
    const VmClock clock(*loop, host::tsc_khz(), khz);
    for (const u64 tsc : {u64{0}, u64{1}, u64{12345}, u64{1} << 40, (u64{1} << 62) + 12345}) {
      const u64 ns = clock.ns_at_tsc(tsc);
      EXPECT_EQ(ns, static_cast<u64>((u128{tsc} * 1'000'000 + khz - 1) / khz));
      EXPECT_GE(clock.tsc_at_ns(ns), tsc) << "a timer for that moment is never early";
      EXPECT_LE(clock.tsc_at_ns(ns), tsc + khz / 1'000'000 + 1);
    }
  }
}

TEST_F(Clocks, TheScaleGivesWhatTheClockGives) {
  VmClock clock(*loop, host::tsc_khz(), 1'234'567);
  clock.resume();
  std::this_thread::sleep_for(1ms);
  const TscScale scale = clock.tsc_scale();
  const u64 before = clock.tsc();
  const u64 by_scale =
      static_cast<u64>(u128{host::read_tsc() - scale.host_base} * scale.scale >> 32) + scale.guest_base;
  EXPECT_GE(by_scale, before);
  EXPECT_LE(by_scale, clock.tsc());
}

TEST_F(Clocks, GoesOnFromASavedStateAtItsOwnFrequency) {
  VmClock first(*loop, host::tsc_khz());
  first.resume();
  std::this_thread::sleep_for(2ms);
  first.pause();
  const StateRecord saved = first.save();
  // The second host counts half as fast, or so it is told.
  VmClock second(*loop, host::tsc_khz() / 2);
  ASSERT_TRUE(second.load(saved));
  EXPECT_EQ(second.tsc(), first.tsc());
  EXPECT_EQ(second.now_ns(), first.now_ns());
  EXPECT_EQ(second.tsc_khz(), host::tsc_khz());
  EXPECT_NEAR(static_cast<double>(second.tsc_scale().scale), static_cast<double>(u64{2} << 32), 20'000);
  second.resume();
  std::this_thread::sleep_for(2ms);
  EXPECT_GT(second.now_ns(), first.now_ns());
}

TEST_F(Clocks, RefusesACorruptStateAndALoadWhileItRuns) {
  VmClock clock(*loop, host::tsc_khz());
  StateRecord good = clock.save();
  EXPECT_FALSE(clock.load(save_fields("clock", ClockState{.tsc = 0, .tsc_khz = 0})));
  EXPECT_FALSE(clock.load(save_fields("clock", ClockState{.tsc = ~u64{0}, .tsc_khz = 1'000'000})));
  clock.resume();
  EXPECT_FALSE(clock.load(good));
  clock.pause();
  EXPECT_TRUE(clock.load(good));
}

TEST_F(Clocks, TimersExpireAfterTheirMomentAndNotBefore) {
  VmClock clock(*loop, host::tsc_khz());
  clock.resume();
  std::atomic<u64> at{0};
  const auto timer = clock.make_timer([&] { at = clock.now_ns(); });
  for (int i = 0; i < 20; ++i) {
    at = 0;
    const u64 deadline = clock.now_ns() + 1'000'000;
    timer->arm(deadline);
    while (at == 0) std::this_thread::sleep_for(100us);
    EXPECT_GE(at, deadline);
    EXPECT_LT(at, deadline + 50'000'000);
  }
}

TEST_F(Clocks, TimersWaitWhileTheClockIsPaused) {
  VmClock clock(*loop, host::tsc_khz());
  std::atomic<int> count{0};
  const auto timer = clock.make_timer([&] { ++count; });
  timer->arm(5'000'000);
  std::this_thread::sleep_for(10ms);
  EXPECT_EQ(count, 0);
  clock.resume();
  clock.pause();
  std::this_thread::sleep_for(10ms);
  EXPECT_EQ(count, 0);
  clock.resume();
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(count, 1);
}

TEST_F(Clocks, ACancelledTimerStaysSilent) {
  VmClock clock(*loop, host::tsc_khz());
  clock.resume();
  std::atomic<int> count{0};
  const auto timer = clock.make_timer([&] { ++count; });
  timer->arm(clock.now_ns() + 3'000'000);
  timer->cancel();
  std::this_thread::sleep_for(8ms);
  EXPECT_EQ(count, 0);
}

TEST_F(Clocks, PauseWaitsForACallbackThatRuns) {
  VmClock clock(*loop, host::tsc_khz());
  clock.resume();
  std::atomic<bool> inside{false}, done{false};
  const auto timer = clock.make_timer([&] {
    inside = true;
    std::this_thread::sleep_for(20ms);
    done = true;
  });
  timer->arm(0);
  while (!inside) std::this_thread::yield();
  clock.pause();
  EXPECT_TRUE(done);
}

TEST_F(Clocks, ThreadsNeverSeeTimeRunBackwards) {
  VmClock clock(*loop, host::tsc_khz());
  std::atomic<bool> stop{false};
  std::atomic<u64> last{0};
  const auto watch = [&] {
    while (!stop) {
      const u64 seen = last.load();
      const u64 now = clock.tsc();
      EXPECT_GE(now, seen);
      u64 expected = seen;
      last.compare_exchange_strong(expected, now);
    }
  };
  std::thread one(watch), two(watch);
  for (int i = 0; i < 200; ++i) {
    clock.resume();
    std::this_thread::sleep_for(50us);
    clock.pause();
  }
  stop = true;
  one.join();
  two.join();
}

}  // namespace
}  // namespace vireo::vm
