// The PC's real-time clock and CMOS RAM: an MC146818 at ports 0x70 and 0x71, interrupt 8.
//
// The clock shows the host's wall clock (UTC) plus what the guest set it off by; it runs on while the VM is paused.
// Nothing ticks: registers and flags are computed when they are looked at, and a timer is armed only for an interrupt
// that is enabled and not signalled yet. Periodic interrupts count guest time. Ticks that nobody took are lost, as in
// the chip.
#pragma once

#include <memory>
#include <mutex>

#include "dev/isa/byte_device.h"
#include "dev/rtc/state.h"
#include "vm/clock/clock.h"

namespace vireo::dev {

class Rtc final : public ByteDevice, public vm::Stateful {
 public:
  static constexpr u16 kPorts = rtc::kPorts;

  /// References outlive the device.
  Rtc(vm::IrqLine& irq, vm::Clock& clock);

  /// For the machine: presets a byte of the RAM (0x0E..0x7F but the century).
  void set_byte(u8 location, u8 value);
  /// For the machine: the memory sizes where PC firmware leaves them: 640 KiB base, extended memory in KiB (0x17,
  /// 0x30), above 16 MiB in 64 KiB (0x34), above 4 GiB in 64 KiB (0x5B). Bytes.
  void set_memory_size(u64 below_4g, u64 above_4g);
  /// Bit 7 of port 0x70.
  bool nmi_masked() const;

  // vm::Stateful. A reset keeps the time and the RAM.
  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 protected:
  u8 read_register(u16 offset) override;
  void write_register(u16 offset, u8 value) override;

 private:
  using State = rtc::State;
  struct Moment {
    i64 seconds = 0;  ///< since 1970, by the guest's clock
    u32 ns = 0;
  };
  u8 read_location(u8 location);
  void write_location(u8 location, u8 value);
  void write_a(u8 value);
  void write_b(u8 value);
  u8 read_c();

  bool stopped() const;
  Moment moment() const;
  void set_moment(Moment moment);
  u64 period_index(u64 ns) const;
  unsigned period_ticks() const;
  void catch_up();
  void update_irq();
  void rearm();

  vm::IrqLine& irq_;
  vm::Clock& clock_;
  mutable std::mutex mutex_;
  State s_;
  std::unique_ptr<vm::Timer> second_, periodic_;
};

}  // namespace vireo::dev
