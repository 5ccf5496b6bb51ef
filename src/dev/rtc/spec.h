// Registers of the MC146818 real-time clock. Source: Motorola MC146818A data sheet (1984); the PC's use of the RAM: IBM
// PC/AT technical reference, and the century byte as ACPI's FADT names it.
#pragma once

#include "base/types.h"

namespace vireo::dev::rtc {

/// Port 0x70 selects (bit 7 masks NMI), port 0x71 is the data.
enum class Port : u16 { Index = 0, Data = 1 };
constexpr u16 kPorts = 2;
constexpr u8 kNmiDisable = 0x80;

/// Locations in the 128 bytes.
enum Location : u8 {
  Seconds = 0x00,
  SecondsAlarm = 0x01,
  Minutes = 0x02,
  MinutesAlarm = 0x03,
  Hours = 0x04,
  HoursAlarm = 0x05,
  DayOfWeek = 0x06,
  DayOfMonth = 0x07,
  Month = 0x08,
  Year = 0x09,
  RegisterA = 0x0A,
  RegisterB = 0x0B,
  RegisterC = 0x0C,
  RegisterD = 0x0D,
  Century = 0x32,
};
/// Where firmware looks for the number of CPUs but the first one.
constexpr u8 kCpus = 0x5F;
constexpr unsigned kBytes = 128;

namespace reg_a {
constexpr u8 UIP = 0x80, DV = 0x70, RS = 0x0F;
constexpr u8 kDvRun = 0x20;  ///< 32.768 kHz time base, the only one that runs here
}  // namespace reg_a
namespace reg_b {
constexpr u8 SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, SQWE = 0x08, DM = 0x04, H24 = 0x02, DSE = 0x01;
}
namespace reg_c {
constexpr u8 IRQF = 0x80, PF = 0x40, AF = 0x20, UF = 0x10;
}
namespace reg_d {
constexpr u8 VRT = 0x80;
}
constexpr u8 kAlarmAny = 0xC0;  ///< an alarm byte with both bits matches every value
constexpr u8 kPm = 0x80;        ///< in 12-hour mode

/// UIP is set this long before an update (t_BUC); the update itself takes no time here.
constexpr u64 kUpdateAheadNs = 244'141;
constexpr u64 kOscillatorHz = 32768;

}  // namespace vireo::dev::rtc
