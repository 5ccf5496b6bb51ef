// The guest's side of a hot-plug port, as an operating system's driver does it, and a function to plug.
#pragma once

#include <gtest/gtest.h>

#include "pci/bridge/spec.h"
#include "pci/config/function.h"
#include "vm/device/device.h"

namespace vireo::test {

/// A function with a memory and an I/O BAR that keeps one byte.
class Gadget final : public pci::Function, public vm::Stateful {
 public:
  Gadget() : config_(pci::HeaderType::Device, {.vendor = 0x1111, .device = 0x2222, .class_code = 0xFF0000}) {
    config_.add_bar(0, pci::BarKind::Memory32, 0x1000);
    config_.add_bar(1, pci::BarKind::Io, 16);
    config_.add_bar(2, pci::BarKind::PrefetchableMemory64, 0x4000);
  }
  u32 config_read(u16 offset, u8 size) override { return config_.read(offset, size); }
  void config_write(u16 offset, u8 size, u32 value) override { config_.write(offset, size, value); }
  std::vector<pci::ConfigSpace::Range> decoded() const override { return config_.decoded(); }
  u64 bar_read(unsigned bar, u64, u8) override { return bar << 8 | kept; }
  void bar_write(unsigned, u64, u8, u64 value) override { kept = static_cast<u8>(value); }
  void reset() override {
    config_.reset();
    kept = 0;
    ++resets;
  }
  vm::StateRecord save() const override { return config_.save("gadget"); }
  Result<> load(const vm::StateRecord& record) override { return config_.load_record(record); }

  u8 kept = 0;
  int resets = 0;

 private:
  pci::ConfigSpace config_;
};

/// Reaches the registers through `read` and `write` of the port's configuration space.
struct HotPlugDriver {
  std::function<u32(u16 offset, u8 size)> read;
  std::function<void(u16 offset, u8 size, u32 value)> write;

  /// Where a capability is; 0: nowhere.
  u16 find(u8 id) const {
    for (u32 at = read(pci::reg::CapabilitiesPointer, 1); at != 0; at = read(static_cast<u16>(at + 1), 1)) {
      if (read(static_cast<u16>(at), 1) == id) return static_cast<u16>(at);
    }
    return 0;
  }
  u16 express(u16 offset) const { return static_cast<u16>(find(pci::express::kCapabilityId) + offset); }
  u16 msi(u16 offset) const { return static_cast<u16>(find(pci::express::kMsiCapabilityId) + offset); }
  u32 status() const { return read(express(pci::express::SlotStatus), 2); }
  u32 control() const { return read(express(pci::express::SlotControl), 2); }
  bool link_active() const { return (read(express(pci::express::LinkStatus), 2) & pci::express::link::Active) != 0; }
  void clear(u32 events) const { write(express(pci::express::SlotStatus), 2, events); }
  void set_control(u32 mask, u32 value) const {
    write(express(pci::express::SlotControl), 2, (control() & ~mask) | value);
  }
  /// As Linux's pciehp sets a slot up that has a button.
  void start(bool with_msi) const {
    using namespace pci::express;
    write(pci::reg::Command, 2, pci::command::kWritable & ~u32{pci::command::InterruptDisable});
    if (with_msi) {
      write(msi(msi::Address), 4, 0xFEE00000);
      write(msi(msi::Data), 2, 0x41);
      write(msi(msi::Control), 2, msi::Enable);
    }
    const u32 enables = slot::AttentionButtonPressedEnable | slot::CommandCompletedInterruptEnable |
                        slot::HotPlugInterruptEnable | slot::LinkStateChangedEnable;
    set_control(enables, enables);
    clear(slot::kEvents);
  }
  void power_on() const {
    using namespace pci::express;
    set_control(slot::PowerOff, 0);
    set_control(slot::kPowerIndicator, slot::kPowerIndicatorOn);
    clear(slot::kEvents);
  }
  void power_off() const {
    using namespace pci::express;
    set_control(slot::PowerOff, slot::PowerOff);
    set_control(slot::kPowerIndicator, slot::kPowerIndicatorOff);
    clear(slot::kEvents);
  }
};

class Messages final : public vm::MsiSink {
 public:
  void send(const vm::MsiMessage& message) override { sent.push_back(message); }
  std::vector<vm::MsiMessage> sent;
};

class Wire final : public vm::IrqLine {
 public:
  void set(bool now) override { level = now; }
  bool level = false;
};

}  // namespace vireo::test
