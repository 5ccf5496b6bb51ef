// What of the keyboard controller is saved.
#pragma once

#include <array>

#include "dev/i8042/spec.h"
#include "vm/state/archive.h"

namespace vireo::dev::i8042 {

struct State {
  std::array<u8, 32> ram{};  ///< [0] is the command byte
  u8 output_port = 0;        ///< the writable bits
  u8 output_byte = 0;
  bool output_full = false, output_from_aux = false;
  bool system_flag = false;
  bool last_was_command = false;
  u8 waiting_command = 0;  ///< the command whose parameter comes next at the data port, 0 for none
  static constexpr u16 kVersion = 1;
};

inline void fields(vm::Archive& ar, State& s) {
  auto& [ram, output_port, output_byte, output_full, output_from_aux, system_flag, last_was_command, waiting_command] =
      s;
  ar(ram, output_port, output_byte, output_full, output_from_aux, system_flag, last_was_command, waiting_command);
}

}  // namespace vireo::dev::i8042
