// Guest time that stands still until the test moves it; timers fire from advance().
#pragma once

#include <algorithm>
#include <vector>

#include "vm/clock/clock.h"

namespace vireo::test {

class ManualClock final : public vm::Clock {
 public:
  static constexpr u64 kTscKhz = 2'000'000;  ///< two ticks a nanosecond

  u64 now_ns() const override { return now_; }
  u64 tsc() const override { return tsc_at_ns(now_); }
  u64 tsc_khz() const override { return kTscKhz; }
  vm::TscScale tsc_scale() const override { return {}; }
  u64 tsc_at_ns(u64 ns) const override { return ns * 2; }
  u64 ns_at_tsc(u64 tsc) const override { return tsc / 2; }
  u64 wall_ns() const override { return 1'700'000'000'000'000'000 + now_; }
  std::unique_ptr<vm::Timer> make_timer(std::function<void()> expired) override {
    return std::make_unique<ManualTimer>(*this, std::move(expired));
  }

  void advance(u64 ns) {
    const u64 end = now_ + ns;
    for (;;) {
      const auto next = std::min_element(timers_.begin(), timers_.end(),
                                         [](auto* a, auto* b) { return a->deadline_ < b->deadline_; });
      if (next == timers_.end() || (*next)->deadline_ > end) break;
      now_ = std::max(now_, (*next)->deadline_);
      (*next)->deadline_ = kUnarmed;
      ++fired;
      (*next)->expired_();
    }
    now_ = end;
  }
  bool any_armed() const {
    return std::any_of(timers_.begin(), timers_.end(), [](auto* t) { return t->deadline_ != kUnarmed; });
  }
  unsigned fired = 0;

 private:
  static constexpr u64 kUnarmed = ~u64{0};
  struct ManualTimer final : vm::Timer {
    ManualTimer(ManualClock& clock, std::function<void()> expired) : clock_(clock), expired_(std::move(expired)) {
      clock_.timers_.push_back(this);
    }
    ~ManualTimer() override { std::erase(clock_.timers_, this); }
    void arm(u64 deadline_ns) override { deadline_ = deadline_ns; }
    void cancel() override { deadline_ = kUnarmed; }
    ManualClock& clock_;
    std::function<void()> expired_;
    u64 deadline_ = kUnarmed;
  };

  u64 now_ = 0;
  std::vector<ManualTimer*> timers_;
};

}  // namespace vireo::test
