// What of a UART is saved.
#pragma once

#include <array>

#include "dev/uart16550/spec.h"
#include "vm/state/archive.h"

namespace vireo::dev::uart16550 {

struct State {
  u16 divisor = 12;
  u8 ier = 0, fcr = 0, lcr = 0, mcr = 0, scr = 0;
  u8 line_errors = 0;         ///< LSR's OE, PE, FE, BI since the last read
  u8 modem_deltas = 0;        ///< MSR bits 3..0
  bool thre_pending = false;  ///< the transmitter-empty interrupt waits to be taken
  bool timeout_pending = false;
  bool modem_written = false;        ///< MCR was written since reset
  u8 received = 0;                   ///< bytes in the receiver FIFO, at most kFifoSize
  std::array<u8, kFifoSize> fifo{};  ///< oldest first
  u8 break_at = kFifoSize;           ///< position in the FIFO of a break character, kFifoSize for none
  u8 held = 0;                       ///< bytes taken from the channel that wait for room in the FIFO, at most kFifoSize
  std::array<u8, kFifoSize> hold{};
  static constexpr u16 kVersion = 1;
};

inline void fields(vm::Archive& ar, State& s) {
  auto& [divisor, ier, fcr, lcr, mcr, scr, line_errors, modem_deltas, thre_pending, timeout_pending, modem_written,
         received, fifo, break_at, held, hold] = s;
  ar(divisor, ier, fcr, lcr, mcr, scr, line_errors, modem_deltas, thre_pending, timeout_pending, modem_written,
     received, fifo, break_at, held, hold);
}

}  // namespace vireo::dev::uart16550
