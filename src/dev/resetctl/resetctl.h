// The chipset's reset ports: 0x92 (fast A20 and INIT) and 0xCF9 (reset control, ACPI's reset register).
//
// Port 0xCF9 lies inside the doubleword of PCI's CONFIG_ADDRESS: byte accesses come here, 4-byte ones at 0xCF8 go
// there.
#pragma once

#include <mutex>

#include "dev/isa/byte_device.h"
#include "dev/resetctl/state.h"

namespace vireo::dev {

class ResetControl final : public vm::Stateful {
 public:
  /// `power` outlives the device.
  explicit ResetControl(vm::PowerControl& power) : power_(power) {}

  /// One byte each.
  vm::PortDevice& port92() { return port92_; }
  vm::PortDevice& port_cf9() { return port_cf9_; }
  /// The A20 gate as port 0x92 drives it. The machine's memory is not masked by it.
  bool a20() const;

  // vm::Stateful
  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  class Port final : public ByteDevice {
   public:
    Port(ResetControl& chip, u8 resetctl::State::* reg) : chip_(chip), register_(reg) {}

   protected:
    u8 read_register(u16 offset) override;
    void write_register(u16 offset, u8 value) override;

   private:
    ResetControl& chip_;
    u8 resetctl::State::* const register_;
  };

  vm::PowerControl& power_;
  mutable std::mutex mutex_;
  resetctl::State s_;
  Port port92_{*this, &resetctl::State::port92}, port_cf9_{*this, &resetctl::State::rst_cnt};
};

}  // namespace vireo::dev
