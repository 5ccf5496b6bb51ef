#include "host/thread.h"

#include <gtest/gtest.h>

#include "support/crowded_cpu.h"

namespace vireo::host {
namespace {

using namespace std::chrono_literals;

TEST(RunDelay, GrowsWhileTheThreadWaitsForItsProcessor) {
  const u64 before = run_delay_ns();
  u64 waited = 0;
  {
    const test::CrowdedCpu crowd;
    test::CrowdedCpu::work_for(300ms);
    waited = run_delay_ns() - before;
  }
  EXPECT_GT(waited, 30'000'000u) << "half of the time is the other thread's";
}

TEST(RunDelay, IsTheCallingThreadsOwn) {
  const test::CrowdedCpu crowd;
  test::CrowdedCpu::work_for(300ms);
  const u64 ours = run_delay_ns();
  u64 of_a_new_thread = ~u64{0};
  std::thread([&] { of_a_new_thread = run_delay_ns(); }).join();
  EXPECT_LT(of_a_new_thread, ours);
}

}  // namespace
}  // namespace vireo::host
