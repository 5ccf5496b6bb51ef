// What of a virtio PCI device is saved.
#pragma once

#include <vector>

#include "pci/msix/msix.h"
#include "virtio/pci/spec.h"
#include "virtio/ring/ring.h"
#include "vm/state/archive.h"

namespace vireo::virtio {

struct QueueState {
  RingPlace place;
  u16 vector = NO_VECTOR;
  bool enabled = false;
  bool attached = false;  ///< the device serves it
  RingPosition position;
};

struct TransportState {
  u8 status = 0;
  u32 device_feature_select = 0, driver_feature_select = 0;
  u64 driver_features = 0;
  u16 queue_select = 0;
  u16 config_vector = NO_VECTOR;
  u8 config_generation = 0;
  u8 isr = 0;
  std::vector<QueueState> queues;
};

struct SavedDevice {
  TransportState transport;
  std::vector<u8> config_space;  ///< pci::ConfigSpace
  pci::Msix::State msix;
  std::vector<u8> device;  ///< Device::save
  static constexpr u16 kVersion = 1;
};

inline void fields(vm::Archive& ar, RingPlace& s) {
  auto& [size, descriptor, driver, device] = s;
  ar(size, descriptor, driver, device);
}
inline void fields(vm::Archive& ar, RingPosition& s) {
  auto& [index, wrap] = s;
  ar(index, wrap);
}
inline void fields(vm::Archive& ar, QueueState& s) {
  auto& [place, vector, enabled, attached, position] = s;
  ar(place, vector, enabled, attached, position);
}
inline void fields(vm::Archive& ar, TransportState& s) {
  auto& [status, device_feature_select, driver_feature_select, driver_features, queue_select, config_vector,
         config_generation, isr, queues] = s;
  ar(status, device_feature_select, driver_feature_select, driver_features, queue_select, config_vector,
     config_generation, isr, queues);
}
inline void fields(vm::Archive& ar, SavedDevice& s) {
  auto& [transport, config_space, msix, device] = s;
  ar(transport, config_space, msix, device);
}

}  // namespace vireo::virtio
