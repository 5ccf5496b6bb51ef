// The common configuration structure (virtio 1.2, 4.1.4.3): what each field reads as and what a write to it does.
#include <bit>

#include "base/bits.h"
#include "base/bytes.h"
#include "virtio/pci/pci_device.h"

namespace vireo::virtio {
namespace {

/// The place of a field in the structure's image.
template <class T>
void put(std::span<u8, kCommonSize> image, Common field, T value) {
  store(&image[raw(field)], value);
}

/// One half or all of a 64-bit field.
void set_part(u64& field, u64 offset, u8 size, u64 value) {
  if (size == 8 && offset == 0) field = value;
  if (size == 4 && offset % 4 == 0) {
    const unsigned shift = static_cast<unsigned>(offset * 8);
    field = (field & ~(u64{0xFFFFFFFF} << shift)) | (value & 0xFFFFFFFF) << shift;
  }
}

u32 selected_half(u64 features, u32 select) { return select < 2 ? static_cast<u32>(features >> 32 * select) : 0; }

}  // namespace

u64 PciDevice::offered_features() const {
  return device_->features() | feature::VERSION_1 | feature::INDIRECT_DESC | feature::EVENT_IDX | feature::RING_PACKED |
         feature::RING_RESET;
}

u8 PciDevice::status() const { return status_.load(); }

u64 PciDevice::read_common(u64 offset, u8 size) const {
  if (offset >= kCommonSize) return 0;
  std::array<u8, kCommonSize> image{};
  put(image, Common::device_feature_select, s_.device_feature_select);
  put(image, Common::device_feature, selected_half(offered_features(), s_.device_feature_select));
  put(image, Common::driver_feature_select, s_.driver_feature_select);
  put(image, Common::driver_feature, selected_half(s_.driver_features, s_.driver_feature_select));
  put(image, Common::config_msix_vector, config_vector_.load());
  put(image, Common::num_queues, static_cast<u16>(queues_.size()));
  put(image, Common::device_status, status());
  put(image, Common::config_generation, generation_.load());
  put(image, Common::queue_select, s_.queue_select);
  if (s_.queue_select < queues_.size()) {
    const auto& queue = s_.queues[s_.queue_select];
    put(image, Common::queue_size, queue.place.size);
    put(image, Common::queue_msix_vector, vectors_[s_.queue_select].load());
    put(image, Common::queue_enable, u16{queue.enabled});
    put(image, Common::queue_notify_off, s_.queue_select);
    put(image, Common::queue_desc, queue.place.descriptor);
    put(image, Common::queue_driver, queue.place.driver);
    put(image, Common::queue_device, queue.place.device);
    put(image, Common::queue_notify_data, s_.queue_select);
  }
  u64 value = 0;
  for (u8 i = 0; i < size && offset + i < kCommonSize; ++i) value |= u64{image[offset + i]} << 8 * i;
  return value;
}

u16 PciDevice::checked_vector(u64 value) const { return value < msix_.vectors() ? static_cast<u16>(value) : NO_VECTOR; }

void PciDevice::write_common(u64 offset, u8 size, u64 value) {
  if (offset >= raw(Common::queue_size)) {
    if (s_.queue_select < queues_.size()) write_queue(s_.queues[s_.queue_select], offset, size, value);
    return;
  }
  const auto is = [&](Common field, u8 bytes) { return offset == raw(field) && size == bytes; };
  if (is(Common::device_feature_select, 4)) s_.device_feature_select = static_cast<u32>(value);
  if (is(Common::driver_feature_select, 4)) s_.driver_feature_select = static_cast<u32>(value);
  if (is(Common::driver_feature, 4) && (status() & device_status::FEATURES_OK) == 0 && s_.driver_feature_select < 2) {
    set_part(s_.driver_features, 4 * s_.driver_feature_select, 4, value);
  }
  if (is(Common::config_msix_vector, 2)) config_vector_ = checked_vector(value);
  if (is(Common::device_status, 1)) set_status(static_cast<u8>(value));
  if (is(Common::queue_select, 2)) s_.queue_select = static_cast<u16>(value);
}

void PciDevice::write_queue(QueueState& queue, u64 offset, u8 size, u64 value) {
  const unsigned index = s_.queue_select;
  const auto is = [&](Common field, u8 bytes) { return offset == raw(field) && size == bytes; };
  if (is(Common::queue_msix_vector, 2)) vectors_[index] = checked_vector(value);
  if (is(Common::queue_enable, 2) && value == 1) return enable_queue(index);
  if (is(Common::queue_reset, 2) && value == 1) return reset_queue(index);
  if (queue.enabled) return;
  if (is(Common::queue_size, 2) && value >= 1 && value <= device_->queues()[index]) {
    queue.place.size = static_cast<u16>(value);
  }
  const auto address = [&](Common field, u64& place) {
    if (offset - raw(field) < sizeof place) set_part(place, offset - raw(field), size, value);
  };
  address(Common::queue_desc, queue.place.descriptor);
  address(Common::queue_driver, queue.place.driver);
  address(Common::queue_device, queue.place.device);
}

}  // namespace vireo::virtio
