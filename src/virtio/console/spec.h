// The console device. Source: virtio 1.2, 5.3.
#pragma once

#include "base/types.h"

namespace vireo::virtio::console {

constexpr u16 kDeviceId = 3;

/// Feature bits (5.3.3)
constexpr u64 MULTIPORT = 1 << 1;

/// struct virtio_console_config (5.3.4): offsets
namespace config {
constexpr u32 max_nr_ports = 4, kSize = 12;
}

/// Queues (5.3.2): port 0, control, the other ports; each receiveq first.
constexpr unsigned kControlReceive = 2, kControlTransmit = 3;
constexpr unsigned receive_queue(unsigned port) { return port == 0 ? 0 : 2 + 2 * port; }

/// struct virtio_console_control (5.3.6.2)
struct Control {
  u32 id;
  u16 event, value;
};
static_assert(sizeof(Control) == 8);
constexpr u16 DEVICE_READY = 0, DEVICE_ADD = 1, PORT_READY = 3, CONSOLE_PORT = 4, PORT_OPEN = 6, PORT_NAME = 7;

}  // namespace vireo::virtio::console
