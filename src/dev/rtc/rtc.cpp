#include "dev/rtc/rtc.h"

#include <algorithm>

#include "dev/rtc/calendar.h"

namespace vireo::dev {
using namespace rtc;

namespace {

constexpr u64 kNsPerSecond = 1'000'000'000;
/// Timers run on guest time, the alarm on the wall clock, which may be stepped, and goes on while the VM is paused:
/// look again at least this often.
constexpr u64 kLongestWaitNs = 10 * kNsPerSecond;
/// Beyond what any bytes in the registers can say.
constexpr i64 kSecondsLimit = i64{1} << 40;

bool is_time(u8 location) {
  switch (location) {
    case Seconds:
    case Minutes:
    case Hours:
    case DayOfWeek:
    case DayOfMonth:
    case Month:
    case Year:
    case Century:
      return true;
    default:
      return false;
  }
}

}  // namespace

Rtc::Rtc(vm::IrqLine& irq, vm::Clock& clock) : irq_(irq), clock_(clock) {
  const auto look = [this] {
    const std::lock_guard lock(mutex_);
    catch_up();
    update_irq();
    rearm();
  };
  second_ = clock.make_timer(look);
  periodic_ = clock.make_timer(look);
  s_.ram[RegisterA] = reg_a::kDvRun | 6;
  s_.ram[RegisterB] = reg_b::H24;
  s_.ram[RegisterD] = reg_d::VRT;
  s_.updated_second = moment().seconds;
}

void Rtc::set_byte(u8 location, u8 value) {
  if (location <= RegisterD || location == Century || location >= kBytes) return;
  const std::lock_guard lock(mutex_);
  s_.ram[location] = value;
}

void Rtc::set_memory_size(u64 below_4g, u64 above_4g) {
  const auto word = [this](u8 location, u64 value) {
    set_byte(location, static_cast<u8>(value));
    set_byte(location + 1, static_cast<u8>(value >> 8));
  };
  const u64 extended = std::min<u64>(below_4g > kMiB ? (below_4g - kMiB) / kKiB : 0, 0xFFFF);
  const u64 above_16m = std::min<u64>(below_4g > 16 * kMiB ? (below_4g - 16 * kMiB) / (64 * kKiB) : 0, 0xFFFF);
  const u64 high = std::min<u64>(above_4g / (64 * kKiB), 0xFFFFFF);
  word(0x15, 640);
  word(0x17, extended);
  word(0x30, extended);
  word(0x34, above_16m);
  word(0x5B, high);
  set_byte(0x5D, static_cast<u8>(high >> 16));
}

bool Rtc::nmi_masked() const {
  const std::lock_guard lock(mutex_);
  return (s_.index & kNmiDisable) != 0;
}

// ---- Registers

u8 Rtc::read_register(u16 offset) {
  if (offset != static_cast<u16>(Port::Data)) return 0xFF;
  const std::lock_guard lock(mutex_);
  return read_location(s_.index & 0x7F);
}

void Rtc::write_register(u16 offset, u8 value) {
  const std::lock_guard lock(mutex_);
  if (offset == static_cast<u16>(Port::Index)) s_.index = value;
  if (offset == static_cast<u16>(Port::Data)) write_location(s_.index & 0x7F, value);
}

u8 Rtc::read_location(u8 location) {
  if (location == RegisterC) return read_c();
  if (location == RegisterA) {
    const bool updating = !stopped() && moment().ns >= kNsPerSecond - kUpdateAheadNs;
    return s_.ram[RegisterA] | (updating ? reg_a::UIP : 0);
  }
  if (is_time(location) && !stopped()) show(moment().seconds, s_.day_of_week_shift, s_.ram);
  return s_.ram[location];
}

void Rtc::write_location(u8 location, u8 value) {
  switch (location) {
    case RegisterA:
      return write_a(value);
    case RegisterB:
      return write_b(value);
    case RegisterC:
    case RegisterD:
      return;
    case SecondsAlarm:
    case MinutesAlarm:
    case HoursAlarm:
      catch_up();
      s_.ram[location] = value;
      update_irq();
      return rearm();
    default:
      break;
  }
  if (!is_time(location) || stopped()) {
    s_.ram[location] = value;
    return;
  }
  // Written while it runs: takes effect at once.
  const Moment now = moment();
  show(now.seconds, s_.day_of_week_shift, s_.ram);
  s_.ram[location] = value;
  s_.day_of_week_shift = static_cast<u8>(day_of_week_shift(s_.ram));
  set_moment({seconds_of(s_.ram), now.ns});
  rearm();
}

// The divider chain: held in reset the clock stands still, and its first update comes half a second after the release.
void Rtc::write_a(u8 value) {
  catch_up();
  const bool was_stopped = stopped();
  const bool divider_starts = (value & reg_a::DV) == reg_a::kDvRun && (s_.ram[RegisterA] & reg_a::DV) != reg_a::kDvRun;
  if (!was_stopped && (value & reg_a::DV) != reg_a::kDvRun) show(moment().seconds, s_.day_of_week_shift, s_.ram);
  s_.ram[RegisterA] = value & static_cast<u8>(~reg_a::UIP);
  s_.periodic_index = period_index(clock_.now_ns());
  if (divider_starts) {
    s_.day_of_week_shift = static_cast<u8>(day_of_week_shift(s_.ram));
    if (stopped()) {  // SET is on: only the phase is known yet
      set_moment({moment().seconds, kNsPerSecond / 2});
    } else {
      set_moment({seconds_of(s_.ram), kNsPerSecond / 2});
    }
  }
  update_irq();
  rearm();
}

void Rtc::write_b(u8 value) {
  catch_up();
  const bool was_stopped = stopped();
  if ((value & reg_b::SET) != 0) value &= static_cast<u8>(~reg_b::UIE);
  if (!was_stopped && (value & reg_b::SET) != 0) show(moment().seconds, s_.day_of_week_shift, s_.ram);
  s_.ram[RegisterB] = value;
  if (was_stopped && !stopped()) {
    s_.day_of_week_shift = static_cast<u8>(day_of_week_shift(s_.ram));
    set_moment({seconds_of(s_.ram), moment().ns});
  }
  update_irq();
  rearm();
}

u8 Rtc::read_c() {
  catch_up();
  update_irq();
  const u8 flags = s_.ram[RegisterC];
  s_.ram[RegisterC] = 0;
  update_irq();
  rearm();
  return flags;
}

// ---- Time

bool Rtc::stopped() const {
  return (s_.ram[RegisterB] & reg_b::SET) != 0 || (s_.ram[RegisterA] & reg_a::DV) != reg_a::kDvRun;
}

Rtc::Moment Rtc::moment() const {
  const u64 wall = clock_.wall_ns();
  const u64 ns = wall % kNsPerSecond + s_.offset_ns;
  return {static_cast<i64>(wall / kNsPerSecond + ns / kNsPerSecond) + s_.offset_seconds,
          static_cast<u32>(ns % kNsPerSecond)};
}

// The seconds jump: no update is due for those in between.
void Rtc::set_moment(Moment moment) {
  const u64 wall = clock_.wall_ns();
  const u64 wall_ns = wall % kNsPerSecond;
  const bool borrow = moment.ns < wall_ns;
  s_.offset_seconds = moment.seconds - static_cast<i64>(wall / kNsPerSecond) - (borrow ? 1 : 0);
  s_.offset_ns = static_cast<u32>(moment.ns + (borrow ? kNsPerSecond : 0) - wall_ns);
  s_.updated_second = moment.seconds;
}

// Ticks of the oscillator in one period, 0 for none (data sheet, table 5: 1 and 2 are 8 and 9 with this time base).
unsigned Rtc::period_ticks() const {
  const unsigned rate = s_.ram[RegisterA] & reg_a::RS;
  if (rate == 0 || (s_.ram[RegisterA] & reg_a::DV) != reg_a::kDvRun) return 0;
  return 1U << (rate < 3 ? rate + 6 : rate - 1);
}

u64 Rtc::period_index(u64 ns) const {
  const unsigned ticks = period_ticks();
  return ticks == 0 ? 0 : static_cast<u64>(u128{ns} * kOscillatorHz / kNsPerSecond) / ticks;
}

// ---- Flags and interrupts

// Sets the flags of what happened since the last look.
void Rtc::catch_up() {
  u8& flags = s_.ram[RegisterC];
  if (const u64 index = period_index(clock_.now_ns()); index != s_.periodic_index) {
    s_.periodic_index = index;
    flags |= reg_c::PF;
  }
  if (stopped()) return;
  const i64 now = moment().seconds;
  if (now > s_.updated_second) {
    flags |= reg_c::UF;
    if (const auto alarm = next_alarm(s_.ram, s_.updated_second + 1); alarm && *alarm <= now) flags |= reg_c::AF;
  }
  s_.updated_second = now;
}

void Rtc::update_irq() {
  u8& flags = s_.ram[RegisterC];
  const bool request = (flags & s_.ram[RegisterB] & (reg_c::PF | reg_c::AF | reg_c::UF)) != 0;
  flags = static_cast<u8>((flags & ~reg_c::IRQF) | (request ? reg_c::IRQF : 0));
  irq_.set(request);
}

// A flag that is set already brings no further edge before register C is read.
void Rtc::rearm() {
  const u8 waiting = s_.ram[RegisterB] & static_cast<u8>(~s_.ram[RegisterC]);
  const u64 guest_ns = clock_.now_ns();

  u64 wait = 0;
  if (!stopped() && (waiting & (reg_b::UIE | reg_b::AIE)) != 0) {
    const Moment now = moment();
    const u64 to_next = kNsPerSecond - now.ns;
    if ((waiting & reg_b::UIE) != 0) {
      wait = to_next;
    } else if (const auto alarm = next_alarm(s_.ram, now.seconds + 1)) {
      wait = std::min(static_cast<u64>(*alarm - now.seconds - 1) * kNsPerSecond + to_next, kLongestWaitNs);
    }
  }
  if (wait != 0) {
    second_->arm(guest_ns + wait);
  } else {
    second_->cancel();
  }

  const unsigned ticks = period_ticks();
  if ((waiting & reg_b::PIE) != 0 && ticks != 0) {
    const u64 next = (s_.periodic_index + 1) * ticks;
    periodic_->arm(static_cast<u64>((u128{next} * kNsPerSecond + kOscillatorHz - 1) / kOscillatorHz));
  } else {
    periodic_->cancel();
  }
}

// ---- State

void Rtc::reset() {
  const std::lock_guard lock(mutex_);
  s_.ram[RegisterB] &= static_cast<u8>(~(reg_b::PIE | reg_b::AIE | reg_b::UIE | reg_b::SQWE));
  s_.ram[RegisterC] = 0;
  update_irq();
  rearm();
}

vm::StateRecord Rtc::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("rtc", s_);
}

Result<> Rtc::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  const auto within = [](i64 seconds, i64 limit) { return seconds > -limit && seconds < limit; };
  // The host's time, below 2^34 seconds, comes on top of the offset.
  if (!within(state.offset_seconds, kSecondsLimit) || !within(state.updated_second, 2 * kSecondsLimit) ||
      state.offset_ns >= kNsPerSecond || state.day_of_week_shift > 6 || (state.ram[RegisterA] & reg_a::UIP) != 0 ||
      state.ram[RegisterD] != reg_d::VRT || (state.ram[RegisterC] & 0x0F) != 0 || state.periodic_index > u64{1} << 48) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt: impossible register value", record.name);
  }
  const std::lock_guard lock(mutex_);
  s_ = state;
  catch_up();
  update_irq();
  rearm();
  return {};
}

}  // namespace vireo::dev
