// What of the console device is saved.
#pragma once

#include <vector>

#include "vm/state/archive.h"

namespace vireo::virtio::console {

struct PortState {
  bool guest_open = false;
  u8 to_tell = 0;         ///< Console::Port's bits
  u32 sent = 0;           ///< bytes of the first available transmit buffer that are on their way already
  std::vector<u8> input;  ///< that the guest has no buffers for yet
};
inline void fields(vm::Archive& ar, PortState& s) {
  auto& [guest_open, to_tell, sent, input] = s;
  ar(guest_open, to_tell, sent, input);
}

struct State {
  std::vector<PortState> ports;
  static constexpr u16 kVersion = 1;
};
inline void fields(vm::Archive& ar, State& s) {
  auto& [ports] = s;
  ar(ports);
}

}  // namespace vireo::virtio::console
