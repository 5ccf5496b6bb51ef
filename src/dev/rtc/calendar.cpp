#include "dev/rtc/calendar.h"

#include <algorithm>
#include <chrono>

namespace vireo::dev::rtc {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

constexpr i64 kDay = 86400;

bool binary(std::span<const u8, kBytes> ram) { return (ram[RegisterB] & reg_b::DM) != 0; }
bool hours_24(std::span<const u8, kBytes> ram) { return (ram[RegisterB] & reg_b::H24) != 0; }

int decode(u8 value, bool binary) { return binary ? value : (value >> 4) * 10 + (value & 15); }
u8 encode(unsigned value, bool binary) { return static_cast<u8>(binary ? value : value / 10 << 4 | value % 10); }

int decode_hour(u8 value, std::span<const u8, kBytes> ram) {
  if (hours_24(ram)) return decode(value, binary(ram));
  return decode(value & 0x7F, binary(ram)) % 12 + ((value & kPm) != 0 ? 12 : 0);
}

u8 encode_hour(unsigned hour, std::span<const u8, kBytes> ram) {
  if (hours_24(ram)) return encode(hour, binary(ram));
  return encode(hour % 12 == 0 ? 12 : hour % 12, binary(ram)) | (hour >= 12 ? kPm : 0);
}

sys_days day_of(std::span<const u8, kBytes> ram) {
  const bool bin = binary(ram);
  const int year = decode(ram[Century], bin) * 100 + decode(ram[Year], bin);
  const auto month = static_cast<unsigned>(std::clamp(decode(ram[Month], bin), 1, 12));
  const sys_days first = std::chrono::year(year) / std::chrono::month(month) / std::chrono::day(1);
  return first + days(std::max(decode(ram[DayOfMonth], bin), 1) - 1);
}

unsigned weekday_of(sys_days day) { return std::chrono::weekday(day).c_encoding(); }

}  // namespace

i64 seconds_of(std::span<const u8, kBytes> ram) {
  const bool bin = binary(ram);
  return i64{day_of(ram).time_since_epoch().count()} * kDay + decode_hour(ram[Hours], ram) * 3600 +
         decode(ram[Minutes], bin) * 60 + decode(ram[Seconds], bin);
}

void show(i64 seconds, unsigned day_of_week_shift, std::span<u8, kBytes> ram) {
  const bool bin = binary(ram);
  const auto day = std::chrono::floor<days>(std::chrono::sys_seconds(std::chrono::seconds(seconds)));
  const std::chrono::year_month_day date(day);
  const auto time = static_cast<unsigned>(seconds - i64{day.time_since_epoch().count()} * kDay);
  const auto year = static_cast<unsigned>(std::clamp(static_cast<int>(date.year()), 0, 9999));
  ram[Seconds] = encode(time % 60, bin);
  ram[Minutes] = encode(time / 60 % 60, bin);
  ram[Hours] = encode_hour(time / 3600, ram);
  ram[DayOfWeek] = static_cast<u8>((weekday_of(day) + day_of_week_shift) % 7 + 1);  // Sunday is 1
  ram[DayOfMonth] = encode(static_cast<unsigned>(date.day()), bin);
  ram[Month] = encode(static_cast<unsigned>(date.month()), bin);
  ram[Year] = encode(year % 100, bin);
  ram[Century] = encode(year / 100, bin);
}

unsigned day_of_week_shift(std::span<const u8, kBytes> ram) {
  const unsigned shown = ram[DayOfWeek];
  if (shown < 1 || shown > 7) return 0;
  return (shown - 1 + 7 - weekday_of(day_of(ram))) % 7;
}

std::optional<i64> next_alarm(std::span<const u8, kBytes> ram, i64 from) {
  const bool bin = binary(ram);
  const auto any = [](u8 value) { return (value & kAlarmAny) == kAlarmAny; };
  const u8 second = ram[SecondsAlarm], minute = ram[MinutesAlarm], hour = ram[HoursAlarm];
  const i64 day_time = (from % kDay + kDay) % kDay;
  const i64 first = day_time % 60;
  for (i64 i = 0; i <= kDay / 60; ++i) {
    const i64 minutes = (day_time / 60 + i) % (kDay / 60);
    if (!any(hour) && decode_hour(hour, ram) != minutes / 60) continue;
    if (!any(minute) && decode(minute, bin) != minutes % 60) continue;
    const i64 least = i == 0 ? first : 0;
    const i64 wanted = any(second) ? least : decode(second, bin);
    if (wanted >= least && wanted < 60) return from - first + i * 60 + wanted;
  }
  return {};
}

}  // namespace vireo::dev::rtc
