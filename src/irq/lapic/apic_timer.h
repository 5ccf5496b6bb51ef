// The local APIC's timer (SDM 3A 11.5.4): one-shot, periodic and TSC-deadline on guest time, one nanosecond per tick at
// divide 1.
//
// Everything belongs to the vCPU's thread. The host timer's call-back only reports that something may have expired;
// what did is worked out by `expire` from the guest's clock, so a call-back that comes late, early or twice does no
// harm. While the interrupt is masked no host timer runs: the count is computed when somebody looks.
#pragma once

#include <functional>
#include <memory>

#include "irq/lapic/spec.h"
#include "vm/clock/clock.h"

namespace vireo::irq {

class ApicTimer {
 public:
  /// `alarm` is called on the event-loop thread; the vCPU's thread must then call on_alarm.
  ApicTimer(vm::Clock& clock, std::function<void()> alarm);

  /// Catches up with guest time. True: it reached zero since the last call, which an unmasked LVT turns into an
  /// interrupt. To be called before any of the below, so that they act on the present.
  bool expire();
  /// The same, after an alarm.
  bool on_alarm();

  /// LVT timer was written. Entering or leaving TSC-deadline mode stops the timer (SDM 3A 11.5.4.1).
  void set_lvt(apic::TimerMode mode, bool masked);
  void set_divide(u32 configuration);
  void set_initial_count(u32 count);  ///< starts, or with 0 stops; without effect in TSC-deadline mode
  u32 initial_count() const { return initial_count_; }
  u32 current_count() const;
  u32 divide_configuration() const { return divide_configuration_; }

  void set_tsc_deadline(u64 guest_tsc);  ///< 0 stops; without effect in the other modes
  u64 tsc_deadline() const { return tsc_deadline_; }
  void set_tsc_offset(u64 offset);

  struct Saved {
    apic::TimerMode mode = apic::TimerMode::OneShot;
    bool masked = true;
    u32 divide_configuration = 0, initial_count = 0;
    u64 tsc_deadline = 0;
    u64 remaining_ns = 0;   ///< one-shot and periodic; 0: see current_count
    u32 current_count = 0;  ///< 0 as well: stopped
  };
  u64 remaining_ns() const;
  void restore(const Saved& saved);

 private:
  unsigned divisor() const;
  u64 period_ns() const { return u64{initial_count_} * divisor(); }
  bool deadline_mode() const { return mode_ == apic::TimerMode::TscDeadline; }
  void update_deadline();
  void stop();
  void schedule();

  vm::Clock& clock_;
  std::unique_ptr<vm::Timer> timer_;
  bool armed_ = false;

  apic::TimerMode mode_ = apic::TimerMode::OneShot;
  bool masked_ = true;
  bool running_ = false;
  u64 deadline_ns_ = 0;  ///< guest time of the next expiry, while running
  u32 divide_configuration_ = 0, initial_count_ = 0;
  u64 tsc_deadline_ = 0, tsc_offset_ = 0;
};

}  // namespace vireo::irq
