#pragma once

#include <vector>

#include "vm/state/archive.h"

namespace vireo::pci {

struct RootPortState {
  std::vector<u8> config;
  u16 slot_events = 0;      ///< Slot Status, what is not cleared yet
  bool occupied = false;    ///< a function is in the slot
  bool removing = false;    ///< the guest was asked to let go of it
  bool power_lost = false;  ///< it was without power since it was reset
  static constexpr u16 kVersion = 1;
};
inline void fields(vm::Archive& ar, RootPortState& s) {
  auto& [config, slot_events, occupied, removing, power_lost] = s;
  ar(config, slot_events, occupied, removing, power_lost);
}

}  // namespace vireo::pci
