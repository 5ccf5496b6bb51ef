// Seam 2: what a device is to the machine that holds it. Small interfaces; a device implements those it needs, knows no
// address and no other device, and is placed by machine/.
//
// Threads: register accesses come from any vCPU thread, timers from the event-loop thread, so a device guards its
// registers with its own mutex. It may call *down* while holding it, in this order only: device -> interrupt controller
// (IrqLine, MsiSink) -> vCPU notification. Nothing ever calls back up into a device that is raising a line, so the
// order is acyclic. Calls to PowerControl and to a byte channel are made after the mutex is released.
//
// Guest values are hostile: any offset within the registered range, any size of 1, 2, 4 (ports) or 1..8 (MMIO), any
// value. What a register does not define reads as all ones (ports) or zero (MMIO) and ignores writes; a device never
// aborts.
#pragma once

#include <string>

#include "base/result.h"
#include "base/types.h"
#include "vm/state/archive.h"

namespace vireo::vm {

/// A range of I/O ports. `offset` counts from the start of the range; the machine splits accesses at the range's ends.
class PortDevice {
 public:
  virtual ~PortDevice() = default;
  virtual u32 port_read(u16 offset, u8 size) = 0;
  virtual void port_write(u16 offset, u8 size, u32 value) = 0;
};

/// A range of guest-physical addresses.
class MmioDevice {
 public:
  virtual ~MmioDevice() = default;
  virtual u64 mmio_read(u64 offset, u8 size) = 0;
  virtual void mmio_write(u64 offset, u8 size, u64 value) = 0;
};

/// A wire into an interrupt controller. Any thread.
class IrqLine {
 public:
  virtual ~IrqLine() = default;
  virtual void set(bool level) = 0;
};

struct MsiMessage {
  u64 address = 0;  ///< SDM 3A 11.11.1
  u32 data = 0;
};

/// Where message-signalled interrupts go: the software LAPICs or the host kernel. Any thread.
class MsiSink {
 public:
  virtual ~MsiSink() = default;
  virtual void send(const MsiMessage& message) = 0;
};

/// Requests a device makes of the VM's life; carried out later by its owner. Any thread.
class PowerControl {
 public:
  virtual ~PowerControl() = default;
  enum class Request : u8 { PowerOff, Reset };
  virtual void request(Request what) = 0;
};

/// A model with state: everything but wiring. Called only while no vCPU runs and no timer fires.
class Stateful {
 public:
  virtual ~Stateful() = default;
  virtual void reset() = 0;
  virtual StateRecord save() const = 0;
  /// Checks everything before it changes anything.
  virtual Result<> load(const StateRecord& record) = 0;
};

/// A device that works by itself: requests that end on other threads, data that arrives. Called by the machine's owner,
/// with every vCPU parked and guest time standing.
class Activity {
 public:
  virtual ~Activity() = default;
  /// Returns when nothing is in flight: guest memory and the device's state stay as they are until resume().
  virtual void pause() = 0;
  /// Goes on, also with what came up meanwhile, or had come up when the state was saved that was loaded.
  virtual void resume() = 0;
};

}  // namespace vireo::vm
