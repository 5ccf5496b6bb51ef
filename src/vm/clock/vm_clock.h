// The clock of a VM, derived from the host's time-stamp counter (which must be invariant and the same on all
// processors).
//
// Guest time is counted in guest TSC ticks; nanoseconds are computed from them, so the two never drift apart:
//   ns_at_tsc rounds up and tsc_at_ns rounds down, hence tsc_at_ns(ns_at_tsc(t)) >= t: a timer that is armed for the
//   nanosecond of a TSC value never expires before the counter has reached it.
// Timers are kept in guest time and stand on the event loop's timers only while the clock runs.
//
// Life: made stopped at 0; resume() and pause() any number of times; load() while stopped, and before the devices'
// load(), which arm their timers again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>

#include "host/loop.h"
#include "vm/clock/clock.h"
#include "vm/device/device.h"

namespace vireo::vm {

struct ClockState {
  u64 tsc = 0;      ///< guest ticks at the moment of the save, below 2^63
  u64 tsc_khz = 0;  ///< frequency the guest was started with
  static constexpr u16 kVersion = 1;
};
void fields(Archive& ar, ClockState& s);

class VmClock final : public Clock, public Stateful {
 public:
  /// Frequencies that are accepted from a saved state.
  static constexpr u64 kMinKhz = 100'000, kMaxKhz = 100'000'000;

  /// `loop` outlives the clock. `host_khz` is host::tsc_khz(); the guest's frequency is the host's unless it is given.
  explicit VmClock(host::Loop& loop, u64 host_khz, u64 guest_khz = 0);
  ~VmClock() override;

  /// Stops time. When it returns no timer call-back runs, unless it was called by one. Any thread; idempotent.
  void pause();
  /// Time goes on from where it stopped. Any thread; idempotent.
  void resume();
  bool paused() const;

  u64 now_ns() const override;
  u64 tsc() const override;
  u64 tsc_khz() const override;
  TscScale tsc_scale() const override;
  u64 tsc_at_ns(u64 ns) const override;
  u64 ns_at_tsc(u64 tsc) const override;
  u64 wall_ns() const override;
  std::unique_ptr<Timer> make_timer(std::function<void()> expired) override;

  /// Guest time survives a reset of the machine.
  void reset() override {}
  StateRecord save() const override;
  Result<> load(const StateRecord& record) override;

 private:
  class VmTimer;
  /// How guest ticks follow from the host's. Read by any thread without a lock, so written under a sequence count.
  struct Mapping {
    TscScale scale;
    u64 khz = 0;
    bool running = false;
  };
  /// The mapping, and the guest ticks at a moment at which it held.
  struct Reading {
    Mapping mapping;
    u64 ticks = 0;
  };
  Reading read() const;
  template <class Change>
  void change(Change change_mapping);
  static u64 ticks(const Mapping& mapping);
  u64 scale_for(u64 guest_khz) const;
  void place_on_loop(VmTimer& timer);
  void expired(VmTimer& timer);

  host::Loop& loop_;
  const u64 host_khz_;

  std::atomic<u32> sequence_{0};
  std::atomic<u64> host_base_{0}, guest_base_{0}, scale_{0}, khz_{0};
  std::atomic<bool> running_{false};

  mutable std::mutex mutex_;  ///< guards what follows, and writers of the above
  std::condition_variable quiet_;
  bool firing_ = false;
  std::set<VmTimer*> timers_;
};

}  // namespace vireo::vm
