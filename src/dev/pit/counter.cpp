#include "dev/pit/counter.h"

#include <algorithm>

namespace vireo::dev::pit {
namespace {

constexpr u32 kBinaryRange = 65536, kBcdRange = 10000;

}  // namespace

// A count of 0 is the largest one; digits above 9 count as they are.
u32 Counter::decode(u16 raw) const {
  if (!s_.bcd) return raw == 0 ? kBinaryRange : raw;
  const u32 value = ((raw >> 12) * 1000U + (raw >> 8 & 15) * 100U + (raw >> 4 & 15) * 10U + (raw & 15U)) % kBcdRange;
  return value == 0 ? kBcdRange : value;
}

u16 Counter::encode(u64 count) const {
  if (!s_.bcd) return static_cast<u16>(count);
  const u64 value = count % kBcdRange;
  return static_cast<u16>((value / 1000) << 12 | (value / 100 % 10) << 8 | (value / 10 % 10) << 4 | value % 10);
}

// A count that was waiting for the end of a cycle takes over.
void Counter::advance(u64 now) {
  if (s_.next_at == 0 || now < s_.next_at) return;
  s_.start = s_.next_at;
  s_.count = s_.next_count;
  s_.next_count = 0;
  s_.next_at = 0;
}

u64 Counter::elapsed(u64 now) const {
  if (s_.frozen) return s_.frozen_after;
  return now > s_.start ? now - s_.start : 0;
}

void Counter::control(Access access, Mode mode, bool bcd) {
  const bool gate = s_.gate;
  s_ = CounterState{};
  s_.access = access;
  s_.mode = mode;
  s_.bcd = bcd;
  s_.gate = gate;
}

void Counter::load_count(u32 count, u64 now) {
  if (gate_triggered()) {
    s_.next_count = count;
    return;
  }
  if (periodic()) {
    count = std::max<u32>(count, 2);  // 1 is illegal
    if (s_.counting) {
      s_.next_count = count;
      // With the gate low it waits for the trigger. (A square wave would change at the half cycle already.)
      s_.next_at = s_.frozen ? 0 : s_.start + (elapsed(now) / s_.count + 1) * s_.count;
      return;
    }
  }
  s_.count = count;
  s_.start = now + 1;
  s_.counting = true;
  s_.frozen = !s_.gate;
  s_.frozen_after = 0;
}

void Counter::write(u8 value, u64 now) {
  advance(now);
  switch (s_.access) {
    case Access::Low:
      load_count(decode(value), now);
      break;
    case Access::High:
      load_count(decode(static_cast<u16>(value << 8)), now);
      break;
    case Access::Both:
      if (s_.has_low) {
        s_.has_low = false;
        load_count(decode(static_cast<u16>(value << 8 | s_.low)), now);
      } else {
        s_.has_low = true;
        s_.low = value;
        if (s_.mode == Mode::InterruptOnTerminalCount) s_.counting = false;  // stops, OUT low, until the high byte
      }
      break;
  }
}

u8 Counter::read(u64 now) {
  if (s_.status_latched) {
    s_.status_latched = false;
    return s_.status;
  }
  bool high = s_.access == Access::High;
  if (s_.latched_bytes > 0) {
    if (s_.access == Access::Both) high = s_.latched_bytes == 1;
    --s_.latched_bytes;
    return static_cast<u8>(high ? s_.latched >> 8 : s_.latched);
  }
  if (s_.access == Access::Both) {
    high = s_.read_high;
    s_.read_high = !s_.read_high;
  }
  const u16 now_value = value(now);
  return static_cast<u8>(high ? now_value >> 8 : now_value);
}

void Counter::latch_count(u64 now) {
  if (s_.latched_bytes > 0) return;  // the first latch stands until it is read
  s_.latched = value(now);
  s_.latched_bytes = s_.access == Access::Both ? 2 : 1;
}

void Counter::latch_status(u64 now) {
  if (s_.status_latched) return;
  const bool high = out(now);  // advances
  const bool not_loaded = !s_.counting || s_.next_count != 0 || (now < s_.start && !s_.frozen);
  s_.status = static_cast<u8>((high ? status::Output : 0) | (not_loaded ? status::NullCount : 0) |
                              static_cast<u8>(s_.access) << control::kAccessShift |
                              static_cast<u8>(s_.mode) << control::kModeShift | (s_.bcd ? control::Bcd : 0));
  s_.status_latched = true;
}

void Counter::set_gate(bool gate, u64 now) {
  if (gate == s_.gate) return;
  advance(now);
  s_.gate = gate;
  if (gate_triggered()) {
    if (!gate) return;
    if (s_.next_count != 0) s_.count = s_.next_count;
    s_.next_count = 0;
    s_.start = now + 1;
    s_.counting = s_.count != 0;
    return;
  }
  if (!s_.counting) return;
  if (!gate) {
    s_.frozen_after = elapsed(now);
    s_.frozen = true;
    s_.next_at = 0;
  } else if (periodic()) {  // a trigger: starts over
    if (s_.next_count != 0) s_.count = s_.next_count;
    s_.next_count = 0;
    s_.start = now + 1;
    s_.frozen = false;
  } else {
    s_.start = now + 1 - s_.frozen_after;
    s_.frozen = false;
  }
}

bool Counter::out(u64 now) {
  advance(now);
  const u64 passed = elapsed(now);
  switch (s_.mode) {
    case Mode::InterruptOnTerminalCount:
      return s_.counting && passed >= s_.count;
    case Mode::OneShot:
      return !s_.counting || now < s_.start || passed >= s_.count;
    case Mode::RateGenerator:
      return !s_.counting || s_.frozen || passed % s_.count != s_.count - 1;
    case Mode::SquareWave:
      return !s_.counting || s_.frozen || passed % s_.count < (s_.count + 1) / 2;
    case Mode::SoftwareStrobe:
    case Mode::HardwareStrobe:
      return !s_.counting || passed != s_.count;
  }
  return true;
}

u16 Counter::value(u64 now) {
  advance(now);
  if (s_.count == 0) return 0;
  const u64 passed = elapsed(now);
  if (s_.mode == Mode::RateGenerator) return encode(s_.count - passed % s_.count);
  if (s_.mode == Mode::SquareWave) {
    // Down by two in each half; an odd count starts one lower, and its high half is one tick longer.
    const u64 position = passed % s_.count, high = (s_.count + 1) / 2;
    return encode((s_.count & ~u64{1}) - 2 * (position < high ? position : position - high));
  }
  const u64 range = s_.bcd ? kBcdRange : kBinaryRange;
  return encode(s_.count + range - passed % range);
}

u64 Counter::period() const { return periodic() && s_.counting && !s_.frozen ? s_.count : 0; }

std::optional<u64> Counter::next_rise(u64 after) {
  if (!s_.counting || s_.frozen) return {};
  if (periodic()) return s_.start + (elapsed(after) / s_.count + 1) * s_.count;
  const bool strobe = s_.mode == Mode::SoftwareStrobe || s_.mode == Mode::HardwareStrobe;
  const u64 at = s_.start + s_.count + (strobe ? 1 : 0);
  return at > after ? std::optional(at) : std::nullopt;
}

bool Counter::valid(const CounterState& s, u64 now) {
  const bool cyclic = s.mode == Mode::RateGenerator || s.mode == Mode::SquareWave;
  const u32 least = cyclic ? 2 : 1;
  if (s.mode > Mode::HardwareStrobe || s.access < Access::Low || s.access > Access::Both) return false;
  if (s.count > kBinaryRange || s.next_count > kBinaryRange || s.latched_bytes > 2) return false;
  if ((s.count != 0 || s.counting) && s.count < least) return false;
  if (s.next_count != 0 && s.next_count < least) return false;
  if (s.next_at != 0 && (!cyclic || s.next_count == 0 || !s.counting)) return false;
  return s.start <= now + 1 && s.next_at <= now + 1 + kBinaryRange && s.frozen_after <= now;
}

}  // namespace vireo::dev::pit
