// What of the real-time clock is saved. The time itself is the host's wall clock plus an offset.
#pragma once

#include <array>

#include "dev/rtc/spec.h"
#include "vm/state/archive.h"

namespace vireo::dev::rtc {

struct State {
  u8 index = 0;  ///< as written to port 0x70
  std::array<u8, kBytes> ram{};
  /// Clock's time minus the host's: seconds, and ns in 0..999999999.
  i64 offset_seconds = 0;
  u32 offset_ns = 0;
  u8 day_of_week_shift = 0;  ///< 0..6, the guest's week day minus the date's
  i64 updated_second = 0;    ///< the last second whose update was seen (seconds since 1970)
  u64 periodic_index = 0;    ///< the last periodic tick that was seen, counted in guest time
  static constexpr u16 kVersion = 1;
};

inline void fields(vm::Archive& ar, State& s) {
  auto& [index, ram, offset_seconds, offset_ns, day_of_week_shift, updated_second, periodic_index] = s;
  ar(index, ram, offset_seconds, offset_ns, day_of_week_shift, updated_second, periodic_index);
}

}  // namespace vireo::dev::rtc
