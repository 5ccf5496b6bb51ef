// What of the reset ports is saved.
#pragma once

#include "dev/resetctl/spec.h"
#include "vm/state/archive.h"

namespace vireo::dev::resetctl {

struct State {
  u8 port92 = port92::A20;
  u8 rst_cnt = 0;
  static constexpr u16 kVersion = 1;
};

inline void fields(vm::Archive& ar, State& s) {
  auto& [port92, rst_cnt] = s;
  ar(port92, rst_cnt);
}

}  // namespace vireo::dev::resetctl
