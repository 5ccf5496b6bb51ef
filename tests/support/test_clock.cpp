#include "support/test_clock.h"

#include <x86intrin.h>

#include <chrono>
#include <optional>

namespace vireo::test {
namespace {

using std::chrono::steady_clock;

/// Frequency of the host's time-stamp counter, measured once in a process over 20 ms.
u64 host_tsc_khz() {
  static const u64 khz = [] {
    const auto start = steady_clock::now();
    const u64 start_tsc = __rdtsc();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const u64 ticks = __rdtsc() - start_tsc;
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(steady_clock::now() - start).count();
    return static_cast<u64>(u128{ticks} * 1'000'000 / static_cast<u64>(ns));
  }();
  return khz;
}

}  // namespace

/// Guarded by the clock's mutex. The destructor waits for a call-back that runs.
class TestClock::TestTimer final : public vm::Timer {
 public:
  TestTimer(TestClock& clock, std::function<void()> expired) : clock_(clock), expired_(std::move(expired)) {}
  ~TestTimer() override {
    cancel();
    std::unique_lock lock(clock_.mutex_);
    clock_.changed_.wait(lock, [this] { return clock_.running_ != this; });
  }
  void arm(u64 deadline_ns) override {
    const std::lock_guard lock(clock_.mutex_);
    remove();
    at_ = clock_.queue_.emplace(deadline_ns, this);
    clock_.changed_.notify_all();
  }
  void cancel() override {
    const std::lock_guard lock(clock_.mutex_);
    remove();
  }
  void expire() { expired_(); }
  void forget() { at_.reset(); }

 private:
  void remove() {
    if (at_) clock_.queue_.erase(*at_);
    at_.reset();
  }
  TestClock& clock_;
  const std::function<void()> expired_;
  std::optional<Queue::iterator> at_;
};

TestClock::TestClock() : tsc_khz_(host_tsc_khz()), host_base_(__rdtsc()), thread_([this] { serve(); }) {}

TestClock::~TestClock() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void TestClock::serve() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (queue_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = queue_.begin();
    const u64 now = now_ns();
    if (first->first > now) {
      changed_.wait_for(lock, std::chrono::nanoseconds(first->first - now));
      continue;
    }
    running_ = first->second;
    queue_.erase(first);
    running_->forget();
    lock.unlock();
    running_->expire();
    lock.lock();
    running_ = nullptr;
    changed_.notify_all();
  }
}

u64 TestClock::tsc() const { return __rdtsc() - host_base_; }
u64 TestClock::tsc_at_ns(u64 ns) const { return static_cast<u64>(u128{ns} * tsc_khz_ / 1'000'000); }
u64 TestClock::ns_at_tsc(u64 tsc) const { return static_cast<u64>(u128{tsc} * 1'000'000 / tsc_khz_); }

u64 TestClock::wall_ns() const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

std::unique_ptr<vm::Timer> TestClock::make_timer(std::function<void()> expired) {
  return std::make_unique<TestTimer>(*this, std::move(expired));
}

}  // namespace vireo::test
