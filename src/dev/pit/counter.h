// One counter of the 8254 as a function of time: what it holds, and what OUT shows, at any tick of the input clock.
#pragma once

#include <optional>

#include "dev/pit/state.h"

namespace vireo::dev::pit {

/// Acts on a CounterState; `now` is the current tick and never runs backwards.
class Counter {
 public:
  explicit Counter(CounterState& state) : s_(state) {}

  /// Control word with an RW field other than latch.
  void control(Access access, Mode mode, bool bcd);
  void write(u8 value, u64 now);
  u8 read(u64 now);
  void latch_count(u64 now);
  void latch_status(u64 now);
  void set_gate(bool gate, u64 now);

  bool out(u64 now);
  u16 value(u64 now);
  /// The first tick after `after` at which OUT rises, as things stand.
  std::optional<u64> next_rise(u64 after);
  /// Ticks from one rise to the next, 0 when there is at most one.
  u64 period() const;

  /// The meaning of a loaded state: enumerations and counts within their ranges, times as they can be at `now`.
  static bool valid(const CounterState& state, u64 now);

 private:
  void advance(u64 now);
  u64 elapsed(u64 now) const;
  void load_count(u32 count, u64 now);
  u32 decode(u16 raw) const;
  u16 encode(u64 count) const;
  bool gate_triggered() const { return s_.mode == Mode::OneShot || s_.mode == Mode::HardwareStrobe; }
  bool periodic() const { return s_.mode == Mode::RateGenerator || s_.mode == Mode::SquareWave; }

  CounterState& s_;
};

}  // namespace vireo::dev::pit
