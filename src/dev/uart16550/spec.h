// Registers of the PC16550D UART. Source: National Semiconductor PC16550D data sheet (1995), section 8.
#pragma once

#include "base/types.h"

namespace vireo::dev::uart16550 {

/// Ports 0..7 (table II). RBR/THR/DLL share 0, IER/DLM share 1, IIR/FCR share 2.
enum class Reg : u16 {
  RBR = 0,
  THR = 0,
  DLL = 0,
  IER = 1,
  DLM = 1,
  IIR = 2,
  FCR = 2,
  LCR = 3,
  MCR = 4,
  LSR = 5,
  MSR = 6,
  SCR = 7
};
constexpr u16 kPorts = 8;

/// Interrupt enable (8.7).
namespace ier {
constexpr u8 ERBFI = 0x01, ETBEI = 0x02, ELSI = 0x04, EDSSI = 0x08, kDefined = 0x0F;
}
/// Interrupt identification (8.6, table IV), most urgent first.
namespace iir {
constexpr u8 None = 0x01, LineStatus = 0x06, DataAvailable = 0x04, CharacterTimeout = 0x0C, TransmitterEmpty = 0x02,
             ModemStatus = 0x00, kFifosEnabled = 0xC0;
}
/// FIFO control (8.5).
namespace fcr {
constexpr u8 Enable = 0x01, ResetReceiver = 0x02, ResetTransmitter = 0x04, DmaMode = 0x08;
constexpr unsigned kTriggerShift = 6;
constexpr u8 kTrigger[4] = {1, 4, 8, 14};  ///< bytes
}  // namespace fcr
/// Line control (8.1).
namespace lcr {
constexpr u8 WLS = 0x03, STB = 0x04, PEN = 0x08, Break = 0x40, DLAB = 0x80;
}
/// Modem control (8.8).
namespace mcr {
constexpr u8 DTR = 0x01, RTS = 0x02, OUT1 = 0x04, OUT2 = 0x08, Loop = 0x10, kDefined = 0x1F;
}
/// Line status (8.4).
namespace lsr {
constexpr u8 DR = 0x01, OE = 0x02, PE = 0x04, FE = 0x08, BI = 0x10, THRE = 0x20, TEMT = 0x40, FifoError = 0x80;
}
/// Modem status (8.9).
namespace msr {
constexpr u8 DCTS = 0x01, DDSR = 0x02, TERI = 0x04, DDCD = 0x08, CTS = 0x10, DSR = 0x20, RI = 0x40, DCD = 0x80,
             kDeltas = 0x0F;
}

constexpr unsigned kFifoSize = 16;
/// The crystal of the PC: 1.8432 MHz; a bit lasts 16 divisor cycles.
constexpr u64 kBaudBase = 115200;

}  // namespace vireo::dev::uart16550
