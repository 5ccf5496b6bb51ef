// Guest time for tests: the host's time-stamp counter from the moment of construction, and real timers on a thread of
// their own.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "vm/clock/clock.h"

namespace vireo::test {

class TestClock final : public vm::Clock {
 public:
  TestClock();
  ~TestClock() override;

  u64 now_ns() const override { return ns_at_tsc(tsc()); }
  u64 tsc() const override;
  u64 tsc_khz() const override { return tsc_khz_; }
  vm::TscScale tsc_scale() const override { return {.host_base = host_base_}; }
  u64 tsc_at_ns(u64 ns) const override;
  u64 ns_at_tsc(u64 tsc) const override;
  u64 wall_ns() const override;
  std::unique_ptr<vm::Timer> make_timer(std::function<void()> expired) override;

 private:
  class TestTimer;
  using Queue = std::multimap<u64, TestTimer*>;
  void serve();

  const u64 tsc_khz_;
  const u64 host_base_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Queue queue_;
  TestTimer* running_ = nullptr;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace vireo::test
