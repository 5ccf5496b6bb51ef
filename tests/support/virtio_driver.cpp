#include "support/virtio_driver.h"

namespace vireo::test {

using virtio::Common;
namespace status_bit = virtio::device_status;

VirtioDriver::VirtioDriver(std::unique_ptr<virtio::Device> kind)
    : device({.name = "virtio", .memory = memory, .clock = clock, .msi = msi, .pin = pin}, std::move(kind)) {}

u64 VirtioDriver::device_features() {
  u64 features = 0;
  for (u32 half : {0u, 1u}) {
    set_common(Common::device_feature_select, 4, half);
    features |= common(Common::device_feature, 4) << 32 * half;
  }
  return features;
}

void VirtioDriver::set_features(u64 features) {
  for (u32 half : {0u, 1u}) {
    set_common(Common::driver_feature_select, 4, half);
    set_common(Common::driver_feature, 4, features >> 32 * half & 0xFFFFFFFF);
  }
}

void VirtioDriver::enable(bool msix) {
  u16 at = static_cast<u16>(device.config_read(pci::reg::CapabilitiesPointer, 1));
  while (device.config_read(at, 1) != pci::msix::kCapabilityId) at = static_cast<u16>(device.config_read(at + 1, 1));
  device.config_write(pci::reg::Command, 2, pci::command::MemorySpace | pci::command::BusMaster);
  device.config_write(static_cast<u16>(at + pci::msix::MessageControl), 2,
                      msix ? pci::msix::message_control::Enable : 0);
  const u32 vectors = 1 + static_cast<u32>(common(Common::num_queues, 2));
  for (u32 vector = 0; vector < vectors; ++vector) {
    write(virtio::window::MsixTable, 16 * vector, 4, 0xFEE00000);
    write(virtio::window::MsixTable, 16 * vector + 8, 4, 0x40 + vector);
    write(virtio::window::MsixTable, 16 * vector + 12, 4, 0);
  }
}

void VirtioDriver::set_up_queue(unsigned index, u64 features, u16 size) {
  set_common(Common::queue_select, 2, index);
  if (size == 0) size = static_cast<u16>(common(Common::queue_size, 2));
  set_common(Common::queue_size, 2, size);
  if (rings_.size() <= index) rings_.resize(index + 1);
  rings_[index] = std::make_unique<RingDriver>(memory, 0x200000 + index * RingDriver::kArea, size, features);
  const auto place = rings_[index]->place();
  const auto set_address = [&](Common field, u64 address) {
    write(virtio::window::Common, static_cast<u64>(field), 4, address & 0xFFFFFFFF);
    write(virtio::window::Common, static_cast<u64>(field) + 4, 4, address >> 32);
  };
  set_address(Common::queue_desc, place.descriptor);
  set_address(Common::queue_driver, place.driver);
  set_address(Common::queue_device, place.device);
  set_common(Common::queue_msix_vector, 2, index + 1);
  set_common(Common::queue_enable, 2, 1);
}

void VirtioDriver::start(u64 features, u16 size, unsigned queues) {
  features |= virtio::feature::VERSION_1;
  set_status(0);
  set_status(status_bit::ACKNOWLEDGE);
  set_status(status_bit::ACKNOWLEDGE | status_bit::DRIVER);
  set_features(features);
  set_status(status_bit::ACKNOWLEDGE | status_bit::DRIVER | status_bit::FEATURES_OK);
  set_common(Common::config_msix_vector, 2, 0);
  const auto count = std::min<u64>(queues, common(Common::num_queues, 2));
  for (unsigned i = 0; i < count; ++i) set_up_queue(i, features, size);
  set_status(status_bit::ACKNOWLEDGE | status_bit::DRIVER | status_bit::FEATURES_OK | status_bit::DRIVER_OK);
}

}  // namespace vireo::test
