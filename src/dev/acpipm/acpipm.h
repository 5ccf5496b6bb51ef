// ACPI's fixed hardware: PM1a event and control block, power management timer, GPE0 block, power button, soft off.
//
// The machine is always in ACPI mode: the FADT's SMI_CMD is 0 and SCI_EN is hard-wired to 1. The reset register is
// dev/resetctl's. The SCI is a level: high while an enabled event has its status bit set.
#pragma once

#include <memory>
#include <mutex>

#include "dev/acpipm/state.h"
#include "vm/clock/clock.h"
#include "vm/device/device.h"

namespace vireo::dev {

class AcpiPm final : public vm::PortDevice, public vm::Stateful {
 public:
  static constexpr u16 kPorts = acpipm::kPorts;

  /// References outlive the device. `timer_bits` is 24 or 32 (FADT flag TMR_VAL_EXT).
  AcpiPm(vm::IrqLine& sci, vm::Clock& clock, vm::PowerControl& power, unsigned timer_bits = 32);

  /// The person at the machine presses the power button for a moment. Any thread.
  void press_power_button();
  /// True while the guest has the power button's event enabled: it will hear of a press.
  bool power_button_enabled() const;
  /// A general-purpose event happened; `number` below acpipm::kGpes. Any thread.
  void raise_gpe(unsigned number);

  u32 port_read(u16 offset, u8 size) override;
  void port_write(u16 offset, u8 size, u32 value) override;

  // vm::Stateful
  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  u8 read_byte(u16 offset, u64 ticks) const;
  bool write_byte(u16 offset, u8 value, u64 ticks);
  u64 ticks() const;
  u16 status(u64 ticks) const;
  void update(u64 ticks);

  vm::IrqLine& sci_;
  vm::Clock& clock_;
  vm::PowerControl& power_;
  const unsigned half_shift_;  ///< log2 of the ticks between two toggles of the top bit
  mutable std::mutex mutex_;
  acpipm::State s_;
  std::unique_ptr<vm::Timer> overflow_;
};

}  // namespace vireo::dev
