#include "dev/pit/pit.h"

#include <algorithm>

#include "base/bits.h"

namespace vireo::dev {
using namespace pit;

namespace {

constexpr u64 kNsPerSecond = 1'000'000'000;
/// A guest may ask for 600,000 interrupts a second; the loop has other work, too. About 50 us.
constexpr u64 kShortestTicks = 60;

}  // namespace

Pit::Pit(vm::IrqLine& irq, vm::Clock& clock)
    : irq_(irq), clock_(clock), timer_(clock.make_timer([this] { expired(); })) {
  reset();
}

u64 Pit::tick() const { return static_cast<u64>(u128{clock_.now_ns()} * kHz / kNsPerSecond); }

u8 Pit::read_register(u16 offset) {
  if (offset >= kCounters) return 0xFF;  // the control word cannot be read
  const std::lock_guard lock(mutex_);
  return Counter(s_.counter[offset]).read(tick());
}

void Pit::write_register(u16 offset, u8 value) {
  if (offset >= kPorts) return;
  const std::lock_guard lock(mutex_);
  const u64 now = tick();
  if (offset == kControl) return control(value, now);
  Counter(s_.counter[offset]).write(value, now);
  if (offset == 0) restart_irq(now);
}

void Pit::control(u8 value, u64 now) {
  const unsigned select = value >> control::kSelectShift;
  if (select == control::kReadBack) {
    for (unsigned i = 0; i < kCounters; ++i) {
      if ((value & bit(i + 1)) == 0) continue;
      Counter counter(s_.counter[i]);
      if ((value & control::NotCount) == 0) counter.latch_count(now);
      if ((value & control::NotStatus) == 0) counter.latch_status(now);
    }
    return;
  }
  Counter counter(s_.counter[select]);
  const u8 access = value >> control::kAccessShift & 3;
  if (access == control::kLatch) return counter.latch_count(now);
  const u8 mode = value >> control::kModeShift & 7;  // 6 and 7 are 2 and 3
  counter.control(static_cast<Access>(access), static_cast<Mode>(mode > 5 ? mode - 4 : mode),
                  (value & control::Bcd) != 0);
  if (select == 0) restart_irq(now);
}

// ---- Interrupt 0

// Counter 0 was written: the line follows OUT, and edges count from here. Modes whose OUT is high but for a tick or
// half a cycle keep the line high: an edge is a short low when its time has come.
void Pit::restart_irq(u64 now) {
  Counter counter(s_.counter[0]);
  const Mode mode = s_.counter[0].mode;
  irq_.set(mode == Mode::InterruptOnTerminalCount || mode == Mode::OneShot ? counter.out(now) : true);
  s_.delivered = now;
  arm(now);
}

void Pit::expired() {
  const std::lock_guard lock(mutex_);
  const u64 now = tick();
  Counter counter(s_.counter[0]);
  const auto rise = counter.next_rise(s_.delivered);
  if (rise && *rise <= now) {
    irq_.set(false);
    irq_.set(true);
    s_.delivered = *rise;
    if (const u64 period = counter.period(); period != 0) {
      const u64 missed = (now - *rise) / period;
      if (missed > kBacklog) s_.delivered += (missed - kBacklog) * period;
    }
  }
  counter.out(now);  // a count that waited for the end of the cycle takes over
  arm(now);
}

void Pit::arm(u64 now) {
  Counter counter(s_.counter[0]);
  const auto rise = counter.next_rise(s_.delivered);
  if (!rise) return timer_->cancel();
  u64 at = *rise;
  if (const u64 period = counter.period(); period != 0) {
    at = std::max(at, now + std::max(kShortestTicks, at <= now ? period / 2 : 0));
  }
  timer_->arm(static_cast<u64>((u128{at} * kNsPerSecond + kHz - 1) / kHz));
}

// ---- Port 0x61

u8 Pit::read_port61() {
  const std::lock_guard lock(mutex_);
  u8 value = s_.port61;
  if ((clock_.now_ns() / port61::kRefreshNs & 1) != 0) value |= port61::Refresh;
  if (Counter(s_.counter[2]).out(tick())) value |= port61::Out2;
  return value;
}

void Pit::write_port61(u8 value) {
  const std::lock_guard lock(mutex_);
  s_.port61 = value & port61::kWritable;
  Counter(s_.counter[2]).set_gate((value & port61::Gate2) != 0, tick());
}

// ---- State

void Pit::reset() {
  const std::lock_guard lock(mutex_);
  s_ = State{};
  s_.counter[2].gate = false;
  restart_irq(tick());
}

vm::StateRecord Pit::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("pit", s_);
}

Result<> Pit::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  const u64 now = tick();
  const bool gates =
      state.counter[0].gate && state.counter[1].gate && state.counter[2].gate == ((state.port61 & port61::Gate2) != 0);
  if (!std::ranges::all_of(state.counter, [now](const auto& counter) { return Counter::valid(counter, now); }) ||
      !gates || (state.port61 & ~port61::kWritable) != 0 || state.delivered > now) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt: impossible register value", record.name);
  }
  const std::lock_guard lock(mutex_);
  const u64 delivered = state.delivered;
  s_ = state;
  restart_irq(now);
  s_.delivered = delivered;  // an edge that fell due at the moment of the save is not lost
  arm(now);
  return {};
}

}  // namespace vireo::dev
