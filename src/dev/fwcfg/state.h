// What of the firmware configuration device is saved; the items follow from the machine.
#pragma once

#include "vm/state/archive.h"

namespace vireo::dev::fwcfg {

struct State {
  u16 key = 0;       ///< selected
  u32 offset = 0;    ///< of the next byte in it; may be past its end
  u32 dma_high = 0;  ///< upper half of the address
  static constexpr u16 kVersion = 1;
};

inline void fields(vm::Archive& ar, State& s) {
  auto& [key, offset, dma_high] = s;
  ar(key, offset, dma_high);
}

}  // namespace vireo::dev::fwcfg
