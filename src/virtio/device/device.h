// What a kind of virtio device is to the transport that shows it to the driver, and the transport to the device.
//
// The transport does all that is the same for every kind: status, features, queues and where they lie, interrupts,
// reset, saved state. A device says what it offers and serves its queues.
//
// Life: attach(), once; then, as often as the driver resets the device, negotiated(), notify() and so on, and reset().
// Between negotiated() and reset() the features stand.
//
// Threads: notify() is called on any vCPU's thread and on the event loop's, for the same queue several at once; the
// device takes the queue's mutex. Configuration accesses come from any vCPU's thread, with the transport's mutex held:
// the device has a mutex of its own for its configuration, and calls back into Host only what takes no lock (all but
// `queue` are such). drain(), reset(), negotiated(), save() and load() are called while every queue is held.
#pragma once

#include <span>

#include "virtio/device/queue.h"
#include "vm/device/device.h"
#include "vm/memory/memory.h"

namespace vireo::virtio {

/// The transport, as a device sees it. Lives as long as the device. Any thread.
class Host {
 public:
  virtual ~Host() = default;
  virtual vm::GuestMemory& memory() = 0;
  /// `index` below Device::queues().
  virtual Queue& queue(unsigned index) = 0;
  /// What configuration space says has changed: tells the driver.
  virtual void config_changed() = 0;
  /// The device cannot go on before the driver resets it (2.1.2).
  virtual void needs_reset() = 0;
  /// Device::notify(queue) is called soon on the event loop's thread; not while the machine stands still, and not for a
  /// queue that is gone by then.
  virtual void notify_later(unsigned queue) = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  // ---- What it is; constant

  /// Device ID (virtio 1.2, 5).
  virtual u16 id() const = 0;
  /// PCI class: base class, sub-class, programming interface.
  virtual u32 pci_class() const = 0;
  /// Feature bits of its own; the transport adds those of feature::.
  virtual u64 features() const = 0;
  /// The largest size of each queue, powers of two up to kMaxQueueSize.
  virtual std::span<const u16> queues() const = 0;
  virtual u32 config_size() const { return 0; }

  // ---- At work

  virtual void attach(Host& host) { host_ = &host; }
  /// The driver's choice, a subset of what was offered. False: no such device can be (2.2.2).
  virtual bool negotiated(u64 /*features*/) { return true; }
  /// There may be something in the queue: the driver says so, it became live, or the machine goes on.
  virtual void notify(unsigned queue) = 0;
  /// Returns when every chain that was popped has been pushed. What has to be waited for must not need the event loop's
  /// thread.
  virtual void drain() {}
  /// The driver starts from the beginning; nothing is out.
  virtual void reset() {}

  /// Copies configuration from `offset` on; both are within config_size().
  virtual void read_config(u32 /*offset*/, std::span<u8> /*to*/) {}
  virtual void write_config(u32 /*offset*/, std::span<const u8> /*from*/) {}

  // ---- What it has to keep besides queues and features. Loading checks before it changes anything.

  /// Why it cannot be saved now (WrongState): only for what others must do first, such as the guest. Any thread.
  virtual Result<> can_save() const { return {}; }
  virtual std::vector<u8> save() const { return {}; }
  virtual Result<> load(std::span<const u8> state) {
    return state.empty() ? Result<>{} : fail(ErrorKind::Usage, "there is more of it than the device has");
  }

 protected:
  Host& host() const { return *host_; }

 private:
  Host* host_ = nullptr;
};

}  // namespace vireo::virtio
