// The 8254 programmable interval timer and the PC's port 0x61. Sources: Intel 8254 data sheet (order number 231164);
// port 0x61: Intel ICH9 data sheet 13.7.1 (NMI_SC).
#pragma once

#include "base/types.h"

namespace vireo::dev::pit {

/// Ports 0x40..0x43.
constexpr u16 kControl = 3, kPorts = 4, kCounters = 3;
constexpr u64 kHz = 1'193'182;

enum class Mode : u8 {
  InterruptOnTerminalCount = 0,
  OneShot = 1,
  RateGenerator = 2,
  SquareWave = 3,
  SoftwareStrobe = 4,
  HardwareStrobe = 5,
};

/// Control word: SC(7..6) RW(5..4) M(3..1) BCD(0).
namespace control {
constexpr unsigned kSelectShift = 6, kAccessShift = 4, kModeShift = 1;
constexpr u8 kReadBack = 3;  ///< in SC
constexpr u8 kLatch = 0;     ///< in RW
constexpr u8 Bcd = 0x01;
// Read-back command: a bit clear means latch.
constexpr u8 NotCount = 0x20, NotStatus = 0x10;
}  // namespace control
enum class Access : u8 { Low = 1, High = 2, Both = 3 };

namespace status {
constexpr u8 Output = 0x80, NullCount = 0x40;
}

/// Port 0x61 (NMI_SC).
namespace port61 {
constexpr u8 Gate2 = 0x01, Speaker = 0x02, ParityOff = 0x04, ChannelCheckOff = 0x08, Refresh = 0x10, Out2 = 0x20,
             kWritable = 0x0F;
constexpr u64 kRefreshNs = 15'085;  ///< the refresh bit toggles this often
}  // namespace port61

}  // namespace vireo::dev::pit
