// The 8042 keyboard controller. Source: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
// Controller"; commands DD/DF: common PC practice.
#pragma once

#include "base/types.h"

namespace vireo::dev::i8042 {

/// Ports 0x60 (data) and 0x64 (status and command).
enum class Port : u8 { Data, Command };

namespace status {
constexpr u8 OutputFull = 0x01, InputFull = 0x02, SystemFlag = 0x04, LastWasCommand = 0x08, NotLocked = 0x10,
             AuxOutputFull = 0x20, Timeout = 0x40, Parity = 0x80;
}
/// Command byte: RAM location 0.
namespace config {
constexpr u8 KeyboardInterrupt = 0x01, AuxInterrupt = 0x02, SystemFlag = 0x04, KeyboardOff = 0x10, AuxOff = 0x20,
             Translate = 0x40, kDefined = 0x77;
}
enum class Command : u8 {
  ReadRam = 0x20,
  WriteRam = 0x60,  ///< 32 of each
  PasswordTest = 0xA4,
  AuxDisable = 0xA7,
  AuxEnable = 0xA8,
  AuxTest = 0xA9,
  SelfTest = 0xAA,
  KeyboardTest = 0xAB,
  KeyboardDisable = 0xAD,
  KeyboardEnable = 0xAE,
  ReadInputPort = 0xC0,
  ReadOutputPort = 0xD0,
  WriteOutputPort = 0xD1,
  WriteKeyboardOutput = 0xD2,
  WriteAuxOutput = 0xD3,
  WriteAux = 0xD4,
  DisableA20 = 0xDD,
  EnableA20 = 0xDF,
  ReadTestInputs = 0xE0,
  PulseOutput = 0xF0,  ///< F0..FF: a clear bit pulses that output low
};
constexpr u8 kSelfTestPassed = 0x55, kPortTestPassed = 0x00, kNoPassword = 0xF1;
constexpr u8 kInputPort = 0x80;  ///< keyboard not locked

/// Output port.
namespace output {
constexpr u8 NotReset = 0x01, A20 = 0x02, AuxFull = 0x20, KeyboardFull = 0x10, kWritable = 0xCF;
}

}  // namespace vireo::dev::i8042
