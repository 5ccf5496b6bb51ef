// Guest time, and timers that follow it.
//
// One Clock a VM. Guest nanoseconds and the guest's time-stamp counter are the same time in two units; both stand still
// while the VM is paused and go on from their saved value after a restore.
#pragma once

#include <functional>
#include <memory>

#include "base/types.h"

namespace vireo::vm {

/// One-shot timer on guest time. The call-back runs on the VM's event-loop thread, with no lock held.
class Timer {
 public:
  virtual ~Timer() = default;
  /// (Re)arms for `deadline_ns` of guest time; a deadline that has passed fires at once. Any thread.
  virtual void arm(u64 deadline_ns) = 0;
  /// After it returns no new call-back starts; one that runs already may still finish. Any thread.
  virtual void cancel() = 0;
};

/// How the TSC is derived from the host's: guest = ((host_rdtsc - host_base) * scale >> 32) + guest_base. While the VM
/// is paused the engines do not run, so they may read this without a lock once per run().
struct TscScale {
  u64 host_base = 0, guest_base = 0;
  u64 scale = u64{1} << 32;
};

class Clock {
 public:
  virtual ~Clock() = default;
  /// Guest time in ns since the machine was first started. Any thread.
  virtual u64 now_ns() const = 0;
  /// Guest time-stamp counter, without a vCPU's own offset. Any thread.
  virtual u64 tsc() const = 0;
  /// Guest TSC frequency.
  virtual u64 tsc_khz() const = 0;
  virtual TscScale tsc_scale() const = 0;
  /// Conversion between the two units, exact to a tick, without overflow for any value below 2^63.
  virtual u64 tsc_at_ns(u64 ns) const = 0;
  virtual u64 ns_at_tsc(u64 tsc) const = 0;
  /// Host's wall clock (UTC) in ns since 1970.
  virtual u64 wall_ns() const = 0;
  virtual std::unique_ptr<Timer> make_timer(std::function<void()> expired) = 0;
};

}  // namespace vireo::vm
