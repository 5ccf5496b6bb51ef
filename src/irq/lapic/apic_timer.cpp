#include "irq/lapic/apic_timer.h"

#include <algorithm>

namespace vireo::irq {

using apic::TimerMode;

namespace {

/// A period the guest cannot shorten: the event loop serves the whole machine.
constexpr u64 kShortestPeriodNs = 50'000;
/// The clock converts values below 2^63.
constexpr u64 kNever = ~u64{0} >> 1;

}  // namespace

ApicTimer::ApicTimer(vm::Clock& clock, std::function<void()> alarm)
    : clock_(clock), timer_(clock.make_timer(std::move(alarm))) {}

bool ApicTimer::expire() {
  if (!running_) return false;
  const u64 now = clock_.now_ns();
  if (now < deadline_ns_) return false;
  if (mode_ == TimerMode::Periodic && initial_count_ != 0) {
    const u64 period = std::max(period_ns(), kShortestPeriodNs);
    deadline_ns_ += ((now - deadline_ns_) / period + 1) * period;  // ticks that were missed are one tick
  } else {
    running_ = false;
    tsc_deadline_ = 0;
  }
  schedule();
  return true;
}

bool ApicTimer::on_alarm() {
  armed_ = false;
  const bool expired = expire();
  if (!expired) schedule();  // an alarm that was meant for an earlier setting, or came early
  return expired;
}

void ApicTimer::schedule() {
  const bool wanted = running_ && !masked_;
  if (wanted) {
    timer_->arm(deadline_ns_);
  } else if (armed_) {
    timer_->cancel();
  }
  armed_ = wanted;
}

void ApicTimer::stop() {
  running_ = false;
  tsc_deadline_ = 0;
  schedule();
}

void ApicTimer::set_lvt(TimerMode mode, bool masked) {
  const bool was_deadline = deadline_mode();
  mode_ = mode;
  masked_ = masked;
  if (was_deadline != deadline_mode()) {
    initial_count_ = 0;
    stop();
  } else {
    schedule();
  }
}

// --- Counting
// ----------------------------------------------------------------------------------------------------------------

/// Bits 3, 1 and 0 count powers of two from 2; all set is 1 (SDM 3A figure 11-10).
unsigned ApicTimer::divisor() const {
  const unsigned code = (divide_configuration_ & 3) | (divide_configuration_ & 8) >> 1;
  return 1U << ((code + 1) & 7);
}

void ApicTimer::set_divide(u32 configuration) {
  const u64 ticks = remaining_ns() / divisor();
  divide_configuration_ = configuration & 0xB;
  if (!running_ || deadline_mode()) return;
  deadline_ns_ = clock_.now_ns() + ticks * divisor();
  schedule();
}

void ApicTimer::set_initial_count(u32 count) {
  if (deadline_mode()) return;
  initial_count_ = count;
  running_ = count != 0;
  deadline_ns_ = clock_.now_ns() + period_ns();
  schedule();
}

u64 ApicTimer::remaining_ns() const {
  if (!running_ || deadline_mode()) return 0;
  const u64 now = clock_.now_ns();
  return deadline_ns_ > now ? deadline_ns_ - now : 0;
}

/// Rounded up, so that it reads as 0 only when the time is over; never above what was written.
u32 ApicTimer::current_count() const {
  const u64 ticks = (remaining_ns() + divisor() - 1) / divisor();
  return static_cast<u32>(std::min<u64>(ticks, initial_count_));
}

// --- TSC deadline
// ------------------------------------------------------------------------------------------------------------

void ApicTimer::set_tsc_deadline(u64 guest_tsc) {
  if (!deadline_mode()) return;
  tsc_deadline_ = guest_tsc;
  running_ = guest_tsc != 0;
  update_deadline();
  schedule();
}

void ApicTimer::set_tsc_offset(u64 offset) {
  tsc_offset_ = offset;
  if (!running_ || !deadline_mode()) return;
  update_deadline();
  schedule();
}

/// Rounded up: the guest must not find that its deadline is still to come.
void ApicTimer::update_deadline() {
  const i128 tsc = static_cast<i128>(tsc_deadline_) - static_cast<i64>(tsc_offset_);
  if (tsc <= 0) {
    deadline_ns_ = 0;
  } else {
    deadline_ns_ = clock_.ns_at_tsc(static_cast<u64>(std::min<i128>(tsc, kNever))) + 1;
  }
}

void ApicTimer::restore(const Saved& saved) {
  mode_ = saved.mode;
  masked_ = saved.masked;
  divide_configuration_ = saved.divide_configuration & 0xB;
  initial_count_ = deadline_mode() ? 0 : saved.initial_count;
  tsc_deadline_ = deadline_mode() ? saved.tsc_deadline : 0;
  if (deadline_mode()) {
    running_ = tsc_deadline_ != 0;
    update_deadline();
  } else {
    // No count is longer than this, whatever a file says.
    const u64 wanted = saved.remaining_ns != 0 ? saved.remaining_ns : u64{saved.current_count} * divisor();
    const u64 remaining = std::min<u64>(wanted, u64{0xFFFFFFFF} * divisor());
    running_ = remaining != 0;
    deadline_ns_ = clock_.now_ns() + remaining;
  }
  schedule();
}

}  // namespace vireo::irq
