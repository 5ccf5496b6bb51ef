// Input devices. Sources: virtio 1.2, 5.8; Linux's include/uapi/linux/input-event-codes.h, whose types and codes events
// have.
#pragma once

#include "base/types.h"

namespace vireo::virtio::input {

constexpr u16 kDeviceId = 18;

/// Queues (5.8.2)
constexpr unsigned eventq = 0, statusq = 1, kQueues = 2;

/// struct virtio_input_config (5.8.4): offsets
namespace config {
constexpr u32 select = 0, subsel = 1, size = 2, u = 8, kSize = 136;
constexpr u32 kMaxBytes = 128;
}  // namespace config
constexpr u8 ID_NAME = 1, ID_SERIAL = 2, ID_DEVIDS = 3, PROP_BITS = 0x10, EV_BITS = 0x11, ABS_INFO = 0x12;

/// struct virtio_input_event (5.8.6)
struct Event {
  u16 type = 0, code = 0;
  u32 value = 0;
  bool operator==(const Event&) const = default;
};
static_assert(sizeof(Event) == 8);

// Types of events, and codes of those that are used
constexpr u16 EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3, EV_LED = 0x11, EV_REP = 0x14;
constexpr u16 SYN_REPORT = 0;
constexpr u16 REL_X = 0, REL_Y = 1, REL_HWHEEL = 6, REL_WHEEL = 8;
constexpr u16 ABS_X = 0, ABS_Y = 1;
constexpr u16 LED_NUML = 0, LED_CAPSL = 1, LED_SCROLLL = 2;
constexpr u16 BTN_LEFT = 0x110, BTN_RIGHT = 0x111, BTN_MIDDLE = 0x112, BTN_SIDE = 0x113, BTN_EXTRA = 0x114;
constexpr u16 kLastKey = 0xF8;  ///< KEY_MICMUTE: what keyboards have is below
constexpr u16 BUS_VIRTUAL = 6;
constexpr u32 kAbsMax = 0x7FFF;  ///< of both axes; from 0

}  // namespace vireo::virtio::input
