// What travels between the local APICs, and who it is for. Source: SDM 3A 11.6 (IPIs), 11.11 (MSIs).
#pragma once

#include "irq/lapic/spec.h"
#include "vm/device/device.h"

namespace vireo::irq {

struct ApicMessage {
  u8 vector = 0;
  apic::DeliveryMode mode = apic::DeliveryMode::Fixed;
  bool level = false;    ///< trigger mode; its end of interrupt is broadcast
  bool asserted = true;  ///< false: INIT level de-assert and the like, which modern APICs ignore
};

/// The message destination address (MDA).
struct ApicDestination {
  u32 id = 0;
  bool logical = false;
  bool wide = false;  ///< 32 bits, from an x2APIC's ICR; else 8 bits
  bool broadcast() const { return id == (wide ? 0xFFFFFFFF : 0xFF); }
};

inline ApicMessage message_of(const vm::MsiMessage& msi) {
  const bool level = (msi.data & apic::icr::Level) != 0;
  return {.vector = static_cast<u8>(msi.data),
          .mode = apic::delivery_mode(msi.data),
          .level = level,
          .asserted = !level || (msi.data & apic::icr::Assert) != 0};
}

inline ApicDestination destination_of(const vm::MsiMessage& msi) {
  return {.id = static_cast<u8>(msi.address >> 12), .logical = (msi.address & bit(2)) != 0};
}

/// What the senders on other threads need to know of an APIC; fits into one atomic word.
struct ApicAddress {
  u32 ldr = 0;           ///< as the register reads in the current mode
  bool enabled = false;  ///< IA32_APIC_BASE: takes INIT, SIPI, NMI
  bool x2apic = false;
  bool flat = true;        ///< DFR
  bool accepting = false;  ///< SVR: takes fixed interrupts as well

  u64 pack() const {
    return u64{ldr} | (enabled ? bit(32) : 0) | (x2apic ? bit(33) : 0) | (flat ? bit(34) : 0) |
           (accepting ? bit(35) : 0);
  }
  static ApicAddress unpack(u64 word) {
    return {.ldr = static_cast<u32>(word),
            .enabled = (word & bit(32)) != 0,
            .x2apic = (word & bit(33)) != 0,
            .flat = (word & bit(34)) != 0,
            .accepting = (word & bit(35)) != 0};
  }
  /// SDM 3A 11.6.2. An 8-bit broadcast reaches x2APICs too, as the chipset's would.
  bool matches(u32 own_id, const ApicDestination& to) const;
};

}  // namespace vireo::irq
