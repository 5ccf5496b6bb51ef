// The clock's bytes and the seconds they stand for.
#pragma once

#include <optional>
#include <span>

#include "dev/rtc/spec.h"

namespace vireo::dev::rtc {

/// The time in `ram`, in the format its register B names, as seconds since 1970. Any bytes are accepted: fields out of
/// range carry over into the next one.
i64 seconds_of(std::span<const u8, kBytes> ram);

/// Writes date, time and century for `seconds` (any that seconds_of gives, and centuries around) into `ram`.
/// `day_of_week_shift` is 0..6.
void show(i64 seconds, unsigned day_of_week_shift, std::span<u8, kBytes> ram);

/// What must be added to the date's week day for the byte in `ram`; 0 when that is no day.
unsigned day_of_week_shift(std::span<const u8, kBytes> ram);

/// The first second from `from` on that the alarm bytes match, if they ever do.
std::optional<i64> next_alarm(std::span<const u8, kBytes> ram, i64 from);

}  // namespace vireo::dev::rtc
