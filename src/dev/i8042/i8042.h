// The PC's keyboard controller, with nothing plugged in: self tests, command byte, loop-back of both ports, A20 and the
// processor reset work; what is sent to a keyboard or mouse is never answered.
#pragma once

#include <mutex>

#include "dev/i8042/state.h"
#include "dev/isa/byte_device.h"

namespace vireo::dev {

class I8042 final : public vm::Stateful {
 public:
  /// References outlive the device. `keyboard_irq` is interrupt 1, `aux_irq` interrupt 12.
  I8042(vm::IrqLine& keyboard_irq, vm::IrqLine& aux_irq, vm::PowerControl& power);

  /// The byte at port 0x60, and the one at 0x64.
  vm::PortDevice& data_port() { return data_; }
  vm::PortDevice& command_port() { return command_; }
  /// The A20 gate as this chip drives it. The machine's memory is not masked by it.
  bool a20() const;

  // vm::Stateful
  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  class Port final : public ByteDevice {
   public:
    Port(I8042& chip, i8042::Port which) : chip_(chip), which_(which) {}

   protected:
    u8 read_register(u16 offset) override;
    void write_register(u16 offset, u8 value) override;

   private:
    I8042& chip_;
    const i8042::Port which_;
  };

  u8 read_data();
  u8 read_status() const;
  bool write_data(u8 value);
  bool write_command(u8 value);
  void answer(u8 value, bool from_aux = false);
  bool set_output_port(u8 value);
  void update_irqs();
  u8& config() { return s_.ram[0]; }
  const u8& config() const { return s_.ram[0]; }

  vm::IrqLine& keyboard_irq_;
  vm::IrqLine& aux_irq_;
  vm::PowerControl& power_;
  mutable std::mutex mutex_;
  i8042::State s_;
  Port data_{*this, i8042::Port::Data}, command_{*this, i8042::Port::Command};
};

}  // namespace vireo::dev
