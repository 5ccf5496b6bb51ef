#include "vm/clock/vm_clock.h"

#include <ctime>

#include "host/tsc.h"

namespace vireo::vm {
namespace {

constexpr u64 kNsPerMs = 1'000'000;
constexpr u64 kLimit = u64{1} << 63;

u64 floor_to_ns(u64 tsc, u64 khz) { return static_cast<u64>(u128{tsc} * kNsPerMs / khz); }

}  // namespace

void fields(Archive& ar, ClockState& s) {
  auto& [tsc, tsc_khz] = s;
  ar(tsc, tsc_khz);
}

// A timer in guest time. `armed_` and `deadline_ns_` are guarded by the clock's mutex.
class VmClock::VmTimer final : public Timer {
 public:
  VmTimer(VmClock& clock, std::function<void()> expired)
      : clock_(clock), expired_(std::move(expired)), host_(clock.loop_.make_timer([this] { clock_.expired(*this); })) {
    const std::lock_guard lock(clock_.mutex_);
    clock_.timers_.insert(this);
  }
  ~VmTimer() override {
    const std::lock_guard lock(clock_.mutex_);
    clock_.timers_.erase(this);
    armed_ = false;
    // host_ goes after the lock and waits for a call-back that runs.
  }
  void arm(u64 deadline_ns) override {
    const std::lock_guard lock(clock_.mutex_);
    deadline_ns_ = deadline_ns;
    armed_ = true;
    clock_.place_on_loop(*this);
  }
  void cancel() override {
    const std::lock_guard lock(clock_.mutex_);
    armed_ = false;
    host_->cancel();
  }

 private:
  friend VmClock;
  VmClock& clock_;
  const std::function<void()> expired_;
  u64 deadline_ns_ = 0;
  bool armed_ = false;
  const std::unique_ptr<host::Loop::Timer> host_;
};

VmClock::VmClock(host::Loop& loop, u64 host_khz, u64 guest_khz) : loop_(loop), host_khz_(host_khz) {
  change([&](Mapping& start) {
    start.khz = guest_khz != 0 ? guest_khz : host_khz;
    start.scale = {.host_base = host::read_tsc(), .guest_base = 0, .scale = scale_for(start.khz)};
  });
}

VmClock::~VmClock() = default;

u64 VmClock::scale_for(u64 guest_khz) const {
  return static_cast<u64>(((u128{guest_khz} << 32) + host_khz_ / 2) / host_khz_);
}

// A sequence count: odd while the mapping changes. The counter is read inside by both sides, with the fences that keep
// it there, so that nobody sees a time that is later than the one at which the clock is about to stop.
VmClock::Reading VmClock::read() const {
  for (;;) {
    const u32 before = sequence_.load(std::memory_order_acquire);
    Reading reading;
    reading.mapping = {.scale = {.host_base = host_base_.load(std::memory_order_relaxed),
                                 .guest_base = guest_base_.load(std::memory_order_relaxed),
                                 .scale = scale_.load(std::memory_order_relaxed)},
                       .khz = khz_.load(std::memory_order_relaxed),
                       .running = running_.load(std::memory_order_relaxed)};
    reading.ticks = ticks(reading.mapping);
    _mm_lfence();
    std::atomic_thread_fence(std::memory_order_acquire);
    if ((before & 1) == 0 && sequence_.load(std::memory_order_relaxed) == before) return reading;
  }
}

// Writers hold the mutex (or are the constructor).
template <class Change>
void VmClock::change(Change change_mapping) {
  Mapping mapping = read().mapping;
  const u32 sequence = sequence_.load(std::memory_order_relaxed);
  sequence_.store(sequence + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  change_mapping(mapping);
  host_base_.store(mapping.scale.host_base, std::memory_order_relaxed);
  guest_base_.store(mapping.scale.guest_base, std::memory_order_relaxed);
  scale_.store(mapping.scale.scale, std::memory_order_relaxed);
  khz_.store(mapping.khz, std::memory_order_relaxed);
  running_.store(mapping.running, std::memory_order_relaxed);
  sequence_.store(sequence + 2, std::memory_order_release);
}

u64 VmClock::ticks(const Mapping& mapping) {
  if (!mapping.running) return mapping.scale.guest_base;
  const u64 host = host::read_tsc();
  // Another processor's counter may be a few ticks behind the one that read the base.
  const u64 since = host > mapping.scale.host_base ? host - mapping.scale.host_base : 0;
  return static_cast<u64>(u128{since} * mapping.scale.scale >> 32) + mapping.scale.guest_base;
}

void VmClock::pause() {
  std::unique_lock lock(mutex_);
  if (!paused()) {
    change([](Mapping& now) {
      now.scale.guest_base = ticks(now);
      now.scale.host_base = host::read_tsc();
      now.running = false;
    });
    for (auto* timer : timers_) timer->host_->cancel();
  }
  if (!loop_.on_thread()) quiet_.wait(lock, [&] { return !firing_; });
}

void VmClock::resume() {
  const std::lock_guard lock(mutex_);
  if (!paused()) return;
  change([](Mapping& now) {
    now.scale.host_base = host::read_tsc();
    now.running = true;
  });
  for (auto* timer : timers_) {
    if (timer->armed_) place_on_loop(*timer);
  }
}

bool VmClock::paused() const { return !running_.load(std::memory_order_acquire); }

u64 VmClock::now_ns() const {
  const Reading now = read();
  return floor_to_ns(now.ticks, now.mapping.khz);
}

u64 VmClock::tsc() const { return read().ticks; }
u64 VmClock::tsc_khz() const { return khz_.load(std::memory_order_relaxed); }
TscScale VmClock::tsc_scale() const { return read().mapping.scale; }

u64 VmClock::tsc_at_ns(u64 ns) const { return static_cast<u64>(u128{ns} * tsc_khz() / kNsPerMs); }

u64 VmClock::ns_at_tsc(u64 tsc) const {
  const u64 khz = tsc_khz();
  return static_cast<u64>((u128{tsc} * kNsPerMs + khz - 1) / khz);
}

u64 VmClock::wall_ns() const {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

std::unique_ptr<Timer> VmClock::make_timer(std::function<void()> expired) {
  return std::make_unique<VmTimer>(*this, std::move(expired));
}

// The mutex is held.
void VmClock::place_on_loop(VmTimer& timer) {
  if (paused()) return;
  const u64 now = now_ns();
  const u64 wait = timer.deadline_ns_ > now ? timer.deadline_ns_ - now : 0;
  const u64 host_now = wait == 0 ? 0 : host::Loop::now_ns();
  timer.host_->arm(wait < kLimit - host_now ? host_now + wait : kLimit);
}

void VmClock::expired(VmTimer& timer) {
  {
    const std::lock_guard lock(mutex_);
    if (!timer.armed_ || paused()) return;
    // The host's clock is not the counter's: over a long wait they differ by what NTP steers.
    if (now_ns() < timer.deadline_ns_) return place_on_loop(timer);
    timer.armed_ = false;
    firing_ = true;
  }
  timer.expired_();
  {
    const std::lock_guard lock(mutex_);
    firing_ = false;
  }
  quiet_.notify_all();
}

StateRecord VmClock::save() const { return save_fields("clock", ClockState{.tsc = tsc(), .tsc_khz = tsc_khz()}); }

Result<> VmClock::load(const StateRecord& record) {
  ClockState state;
  TRY(load_fields(record, state));
  if (state.tsc_khz < kMinKhz || state.tsc_khz > kMaxKhz || state.tsc >= kLimit) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt: impossible time or frequency", record.name);
  }
  const std::lock_guard lock(mutex_);
  if (!paused()) return fail(ErrorKind::WrongState, "the clock cannot be set while it runs");
  change([&](Mapping& now) {
    now.scale = {.host_base = host::read_tsc(), .guest_base = state.tsc, .scale = scale_for(state.tsc_khz)};
    now.khz = state.tsc_khz;
  });
  return {};
}

}  // namespace vireo::vm
