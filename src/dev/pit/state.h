// What of the interval timer is saved. Times are ticks of the 1.193182 MHz input clock since guest time 0.
#pragma once

#include <array>

#include "dev/pit/spec.h"
#include "vm/state/archive.h"

namespace vireo::dev::pit {

struct CounterState {
  Mode mode = Mode::InterruptOnTerminalCount;
  Access access = Access::Both;
  bool bcd = false;
  bool gate = true;
  /// Counting from `start` at which the counter held `count` (1..65536); before `start` it is not loaded yet.
  bool counting = false;
  u32 count = 0;
  u64 start = 0;
  /// Modes 0 and 4 with the gate low: frozen after so many ticks.
  bool frozen = false;
  u64 frozen_after = 0;
  /// Modes 2 and 3: a new count that takes over at `next_at`. Modes 1 and 5: a count that waits for a trigger (next_at
  /// 0).
  u32 next_count = 0;
  u64 next_at = 0;
  bool has_low = false;  ///< the low byte of a count was written, the high byte is to come
  u8 low = 0;
  bool read_high = false;  ///< the next read gives the high byte
  u8 latched_bytes = 0;    ///< of the latched count, still to be read: 0, 1 or 2
  u16 latched = 0;
  bool status_latched = false;
  u8 status = 0;
};

inline void fields(vm::Archive& ar, CounterState& s) {
  auto& [mode, access, bcd, gate, counting, count, start, frozen, frozen_after, next_count, next_at, has_low, low,
         read_high, latched_bytes, latched, status_latched, status] = s;
  ar(mode, access, bcd, gate, counting, count, start, frozen, frozen_after, next_count, next_at, has_low, low,
     read_high, latched_bytes, latched, status_latched, status);
}

struct State {
  std::array<CounterState, kCounters> counter;
  u8 port61 = 0;      ///< the writable bits
  u64 delivered = 0;  ///< tick of the last rising edge of OUT 0 that was signalled
  static constexpr u16 kVersion = 1;
};

inline void fields(vm::Archive& ar, State& s) {
  auto& [counter, port61, delivered] = s;
  ar(counter, port61, delivered);
}

}  // namespace vireo::dev::pit
