#include "vmm/cpu_threads.h"

#include <gtest/gtest.h>

#include <atomic>

#include "fake_vcpu.h"

namespace vireo::vmm {
namespace {

TEST(CpuThreads, StartParkedAndStopTheWorldAsOftenAsAsked) {
  FakeVcpu a(0), b(1), c(2);
  CpuThreads cpus({&a, &b, &c}, [](unsigned, vm::Exit) { FAIL(); });
  cpus.start();
  cpus.pause();
  EXPECT_EQ(a.runs + b.runs + c.runs, 0u);
  for (int i = 0; i < 2000; ++i) {
    cpus.resume();
    if (i % 3 == 0) a.await_running();
    if (i % 5 == 0) c.await_running();
    cpus.pause();
    ASSERT_FALSE(a.running() || b.running() || c.running());
  }
}

TEST(CpuThreads, AVcpuThatEndsHoldsTheOthersAndReportsBeforeItIsParked) {
  FakeVcpu a(0), b(1);
  std::atomic<int> reported = -1;
  CpuThreads cpus({&a, &b}, [&](unsigned cpu, vm::Exit exit) {
    EXPECT_EQ(exit.reason, vm::ExitReason::TripleFault);
    reported = static_cast<int>(cpu);
  });
  cpus.start();
  cpus.resume();
  a.await_running();
  b.await_running();
  b.end_with({vm::ExitReason::TripleFault, ""});
  cpus.pause();
  EXPECT_EQ(reported, 1);
  EXPECT_FALSE(a.running());
}

TEST(CpuThreads, EndWhileTheGuestRuns) {
  FakeVcpu a(0), b(1);
  for (int i = 0; i < 200; ++i) {
    CpuThreads cpus({&a, &b}, [](unsigned, vm::Exit) {});
    cpus.start();
    cpus.resume();
  }
}

TEST(CpuThreads, MayBeHeldFromAVcpusOwnThread) {
  FakeVcpu a(0);
  CpuThreads* self = nullptr;
  std::atomic<bool> reported = false;
  CpuThreads cpus({&a}, [&](unsigned, vm::Exit) {
    self->hold();
    reported = true;
  });
  self = &cpus;
  a.end_with({vm::ExitReason::Failed, "x"});
  cpus.start();
  cpus.resume();
  while (!reported) std::this_thread::yield();
  cpus.pause();
}

}  // namespace
}  // namespace vireo::vmm
