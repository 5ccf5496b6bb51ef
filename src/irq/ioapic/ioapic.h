// I/O APIC with 24 pins and an EOI register (Intel 82093AA data sheet; version 0x20 and the EOI register: ICH9 13.5).
//
// A pin turns into a message to the local APICs: what its redirection entry says, as an MSI. A level-triggered entry
// sets its Remote IRR when the message goes out and sends no other until the end of the interrupt arrives by eoi(); if
// the line is still high then, it sends again. Polarity is ignored: `set(true)` on a line means asserted.
//
// Threads: everything from any thread. The message sink and `on_route` are called with the mutex held, so that a route
// is in place before the first message it covers; they must not call the I/O APIC.
#pragma once

#include <array>
#include <functional>
#include <mutex>

#include "vm/device/device.h"

namespace vireo::irq {

struct IoApicState {
  static constexpr u16 kVersion = 1;
  u8 select = 0;
  u8 id = 0;      ///< 0..15
  u32 lines = 0;  ///< the pins as they are
  std::array<u64, 24> entry{};
};
void fields(vm::Archive& ar, IoApicState& s);

class IoApic final : public vm::MmioDevice, public vm::Stateful {
 public:
  static constexpr unsigned kPins = 24;
  static constexpr u64 kSize = 0x1000;  ///< of the register page, by convention at 0xFEC00000

  /// What a pin would send. KVM's split irqchip needs it to know whose EOIs to report.
  struct Route {
    vm::MsiMessage message;
    bool level = false;
    bool masked = true;
    bool operator==(const Route& other) const {
      return message.address == other.message.address && message.data == other.message.data && level == other.level &&
             masked == other.masked;
    }
  };
  using OnRoute = std::function<void(unsigned pin, const Route& route)>;

  /// `on_route`, if given, is called for every pin whose route changed. All are masked at first.
  explicit IoApic(vm::MsiSink& sink, OnRoute on_route = {});

  vm::IrqLine& pin(unsigned pin) { return pins_[pin]; }
  std::array<Route, kPins> routes() const;

  /// A local APIC ended the level-triggered interrupt `vector`.
  void eoi(u8 vector);

  u64 mmio_read(u64 offset, u8 size) override;
  void mmio_write(u64 offset, u8 size, u64 value) override;

  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  class Pin final : public vm::IrqLine {
   public:
    void attach(IoApic& ioapic, unsigned number) { ioapic_ = &ioapic, number_ = number; }
    void set(bool level) override { ioapic_->set_pin(number_, level); }

   private:
    IoApic* ioapic_ = nullptr;
    unsigned number_ = 0;
  };

  // The mutex is held in all of these but set_pin.
  void set_pin(unsigned pin, bool level);
  u32 read_register() const;
  void write_register(u32 value);
  void write_entry(unsigned pin, u64 value);
  void send(unsigned pin);
  void send_if_level(unsigned pin);
  void end_of_interrupt(u8 vector);
  void replace(const IoApicState& state);

  // Glue
  vm::MsiSink& sink_;
  const OnRoute on_route_;
  std::array<Pin, kPins> pins_;

  // Guest-visible
  mutable std::mutex mutex_;
  IoApicState state_;
};

}  // namespace vireo::irq
