// What of the ACPI block is saved.
#pragma once

#include "dev/acpipm/spec.h"
#include "vm/state/archive.h"

namespace vireo::dev::acpipm {

struct State {
  u16 status = 0;  ///< without TMR_STS
  u16 enable = 0;
  u16 control = cnt::SCI_EN;
  u16 gpe_status = 0, gpe_enable = 0;
  u64 timer_half = 0;  ///< toggles of the timer's top bit when TMR_STS was cleared last
  static constexpr u16 kVersion = 1;
};

inline void fields(vm::Archive& ar, State& s) {
  auto& [status, enable, control, gpe_status, gpe_enable, timer_half] = s;
  ar(status, enable, control, gpe_status, gpe_enable, timer_half);
}

}  // namespace vireo::dev::acpipm
