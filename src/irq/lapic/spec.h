// Local APIC: registers and bits with the manual's names. Source: Intel SDM volume 3A, chapter 11 (tables 11-1 and
// 11-6).
#pragma once

#include <array>

#include "base/bits.h"

namespace vireo::irq::apic {

/// Byte offset in the register page, divided by 16: the index into x86::ApicState::regs, and the x2APIC MSR above
/// 0x800.
enum Register : u8 {
  ID = 0x02,
  VERSION = 0x03,
  TPR = 0x08,
  APR = 0x09,
  PPR = 0x0A,
  EOI = 0x0B,
  RRD = 0x0C,
  LDR = 0x0D,
  DFR = 0x0E,
  SVR = 0x0F,
  ISR = 0x10,
  TMR = 0x18,
  IRR = 0x20,
  ESR = 0x28,
  ICR_LOW = 0x30,
  ICR_HIGH = 0x31,
  LVT_TIMER = 0x32,
  LVT_THERMAL = 0x33,
  LVT_PERFORMANCE = 0x34,
  LVT_LINT0 = 0x35,
  LVT_LINT1 = 0x36,
  LVT_ERROR = 0x37,
  INITIAL_COUNT = 0x38,
  CURRENT_COUNT = 0x39,
  DIVIDE_CONFIGURATION = 0x3E,
  SELF_IPI = 0x3F,
};
constexpr unsigned kRegisters = 64;

/// ICR and LVT delivery mode, bits 10..8.
enum class DeliveryMode : u8 { Fixed, LowestPriority, Smi, Reserved, Nmi, Init, StartUp, ExtInt };
/// ICR bits 19..18.
enum class Shorthand : u8 { None, Self, All, AllButSelf };
/// LVT timer bits 18..17.
enum class TimerMode : u8 { OneShot, Periodic, TscDeadline, Reserved };

namespace base_msr {  // IA32_APIC_BASE
constexpr u64 BSP = bit(8), EXTD = bit(10), EN = bit(11);
}
namespace svr {
constexpr u32 Enable = 1U << 8, FocusDisabled = 1U << 9, SuppressEoiBroadcast = 1U << 12;
}
namespace version {
constexpr u32 SuppressEoiBroadcast = 1U << 24;
}
namespace lvt {
constexpr u32 Masked = 1U << 16, Vector = 0xFF, Mode = 7U << 8, Polarity = 1U << 13, Level = 1U << 15;
constexpr u32 TimerModeBits = 3U << 17;
/// Bits that exist in each register, from LVT_TIMER up (figure 11-8).
constexpr std::array<u32, 6> kDefined{
    Vector | Masked | TimerModeBits,
    Vector | Masked | Mode,
    Vector | Masked | Mode,
    Vector | Masked | Mode | Polarity | Level,
    Vector | Masked | Mode | Polarity | Level,
    Vector | Masked,
};
}  // namespace lvt
namespace icr {
constexpr u32 Logical = 1U << 11, Assert = 1U << 14, Level = 1U << 15;
/// What can be written: all but delivery status (12) and the reserved bits.
constexpr u32 kWritable = 0x000CCFFF;
}  // namespace icr
namespace esr {
constexpr u32 SendIllegalVector = 1U << 5, ReceiveIllegalVector = 1U << 6;
}

/// Vectors below are reserved for exceptions: an APIC refuses them.
constexpr u8 kFirstVector = 16;
constexpr u64 kDefaultBase = 0xFEE00000;

constexpr DeliveryMode delivery_mode(u32 value) { return static_cast<DeliveryMode>(bits(value, 8, 3)); }
constexpr TimerMode timer_mode(u32 lvt_timer) { return static_cast<TimerMode>(bits(lvt_timer, 17, 2)); }

}  // namespace vireo::irq::apic
