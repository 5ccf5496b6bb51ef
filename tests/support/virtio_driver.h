// A driver of a virtio PCI device, for tests: it finds the structures by the capabilities and uses the registers as the
// standard says (virtio 1.2, 3.1.1 and 4.1.4).
#pragma once

#include <array>
#include <memory>
#include <set>
#include <vector>

#include "support/ring_driver.h"
#include "unit/dev/fakes.h"
#include "virtio/pci/pci_device.h"

namespace vireo::test {

struct FakeMsi final : vm::MsiSink {
  void send(const vm::MsiMessage& message) override {
    const std::lock_guard lock(mutex);
    data.push_back(message.data);
  }
  /// How many messages with this data have come; they are forgotten.
  std::size_t take(u32 wanted) {
    const std::lock_guard lock(mutex);
    return std::erase(data, wanted);
  }
  std::mutex mutex;
  std::vector<u32> data;
};

/// RAM, a clock, and a device with its driver. The message of vector n has data 0x40 + n.
class VirtioDriver {
 public:
  explicit VirtioDriver(std::unique_ptr<virtio::Device> kind);

  // Registers
  u64 read(u32 window, u64 offset, u8 size) { return device.bar_read(0, window + offset, size); }
  void write(u32 window, u64 offset, u8 size, u64 value) { device.bar_write(0, window + offset, size, value); }
  u64 common(virtio::Common field, u8 size) { return read(virtio::window::Common, static_cast<u64>(field), size); }
  void set_common(virtio::Common field, u8 size, u64 value) {
    write(virtio::window::Common, static_cast<u64>(field), size, value);
  }
  u8 status() { return static_cast<u8>(common(virtio::Common::device_status, 1)); }
  void set_status(u8 value) { set_common(virtio::Common::device_status, 1, value); }
  u64 device_features();
  void set_features(u64 features);
  template <class T>
  T config(u32 offset) {
    return static_cast<T>(read(virtio::window::Device, offset, sizeof(T)));
  }
  bool needs_reset() { return (status() & virtio::device_status::DEVICE_NEEDS_RESET) != 0; }

  /// Bus mastering and memory on, MSI-X on with all vectors unmasked, or off.
  void enable(bool msix = true);
  /// From reset to DRIVER_OK with `features` (VERSION_1 is added) and rings of `size` (0: as large as offered) for the
  /// first `queues` queues (all).
  void start(u64 features, u16 size = 0, unsigned queues = ~0u);
  /// Sets queue `index` up and enables it.
  void set_up_queue(unsigned index, u64 features, u16 size = 0);
  RingDriver& ring(unsigned index) { return *rings_[index]; }
  /// The doorbell.
  void notify(unsigned index) { write(virtio::window::Notify, u64{index} * 4, 2, index); }
  /// Rings it if the device wants to hear of it.
  void notify_if_wanted(unsigned index) {
    if (ring(index).must_notify()) notify(index);
  }

  static constexpr u64 kMemory = 4 * kMiB;
  /// Space for buffers that no ring uses: 1 MiB.
  static constexpr u64 kData = 0x100000;

  vm::GuestMemory memory = *vm::GuestMemory::create({{.gpa = 0, .size = kMemory, .offset = 0}});
  FakeClock clock;
  FakeMsi msi;
  FakeLine pin;
  virtio::PciDevice device;

 private:
  std::vector<std::unique_ptr<RingDriver>> rings_;
};

}  // namespace vireo::test
