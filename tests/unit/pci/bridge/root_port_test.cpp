#include "pci/bridge/root_port.h"

#include <functional>

#include "pci/root/root.h"
#include "support/hot_plug_driver.h"

namespace vireo::pci {
namespace {

namespace slot = express::slot;

constexpr unsigned kDevice = 4, kBus = 7;

/// A root with a port, which the guest reaches by ECAM.
struct RootPorts : testing::Test {
  std::array<test::Wire, 8> wires;
  Root root{[this] {
    std::array<vm::IrqLine*, 8> lines{};
    for (unsigned i = 0; i < 8; ++i) lines[i] = &wires[i];
    return lines;
  }()};
  test::Messages messages;
  int changes = 0;
  RootPort port{
      {.name = "port", .number = 3, .msi = messages, .pin = root.intx(kDevice, 0), .changed = [this] { ++changes; }}};
  test::Gadget gadget;

  RootPorts() { root.attach_bridge(kDevice, 0, port); }
  u32 read(u32 bus, u32 device, u16 offset, u8 size) {
    return static_cast<u32>(root.ecam().mmio_read(bus << 20 | device << 15 | offset, size));
  }
  void write(u32 bus, u32 device, u16 offset, u8 size, u32 value) {
    root.ecam().mmio_write(bus << 20 | device << 15 | offset, size, value);
  }
  test::HotPlugDriver driver{[this](u16 offset, u8 size) { return read(0, kDevice, offset, size); },
                             [this](u16 offset, u8 size, u32 value) { write(0, kDevice, offset, size, value); }};
  bool pin() const { return wires[Root::wire(kDevice, 0)].level; }

  /// Bus number and windows: I/O 0x2000, memory 0xC0100000, prefetchable memory 0x800000000.
  void open_windows() {
    write(0, kDevice, reg::PrimaryBus, 4, kBus << 16 | kBus << 8);
    write(0, kDevice, reg::IoBase, 2, 0x2020);
    write(0, kDevice, reg::MemoryBase, 4, 0xC010C010);
    write(0, kDevice, reg::PrefetchBase, 4, 0x00000000);
    write(0, kDevice, reg::PrefetchBaseUpper, 4, 8);
    write(0, kDevice, reg::PrefetchLimitUpper, 4, 8);
  }
  /// The function's BARs, inside the windows.
  void set_up_gadget() {
    write(kBus, 0, reg::BaseAddress0, 4, 0xC0101000);
    write(kBus, 0, reg::BaseAddress0 + 4, 4, 0x2100);
    write(kBus, 0, reg::BaseAddress0 + 8, 4, 0x00004000);
    write(kBus, 0, reg::BaseAddress0 + 12, 4, 8);
    write(kBus, 0, reg::Command, 2, command::IoSpace | command::MemorySpace);
  }
  void plug() {
    port.insert(gadget);
    root.rescan();
  }
};

TEST_F(RootPorts, IsABridgeWithAHotPlugSlot) {
  EXPECT_EQ(read(0, kDevice, reg::VendorId, 4), 0x000C1B36u);
  EXPECT_EQ(read(0, kDevice, reg::HeaderType, 1), 1u);
  EXPECT_EQ(read(0, kDevice, 0x0A, 2), 0x0604u);
  ASSERT_NE(driver.find(express::kCapabilityId), 0);
  EXPECT_EQ(read(0, kDevice, driver.express(express::PcieCapabilities), 2), 0x0142u);
  const u32 slots = read(0, kDevice, driver.express(express::SlotCapabilities), 4);
  EXPECT_EQ(slots >> slot::kNumberShift, 3u);
  EXPECT_NE(slots & slot::HotPlugCapable, 0u);
  EXPECT_EQ(driver.status() & slot::PresenceDetectState, 0u);
  EXPECT_NE(driver.control() & slot::PowerOff, 0u);
}

TEST_F(RootPorts, AFunctionThatIsPluggedIsFoundOnceItHasPower) {
  driver.start(true);
  open_windows();
  messages.sent.clear();
  plug();
  ASSERT_EQ(messages.sent.size(), 1u);
  EXPECT_EQ(messages.sent[0].address, 0xFEE00000u);
  EXPECT_EQ(messages.sent[0].data, 0x41u);
  EXPECT_EQ(driver.status(),
            u32{slot::AttentionButtonPressed | slot::PresenceDetectChanged | slot::PresenceDetectState});
  EXPECT_FALSE(driver.link_active());
  EXPECT_EQ(read(kBus, 0, reg::VendorId, 4), 0xFFFFFFFFu);
  driver.clear(slot::kEvents);
  driver.power_on();
  EXPECT_TRUE(driver.link_active());
  EXPECT_EQ(read(kBus, 0, reg::VendorId, 4), 0x22221111u);
  EXPECT_EQ(read(kBus, 1, reg::VendorId, 4), 0xFFFFFFFFu) << "a link leads to one device";
  EXPECT_EQ(read(kBus + 1, 0, reg::VendorId, 4), 0xFFFFFFFFu);
}

TEST_F(RootPorts, AccessesAreForwardedInsideTheWindowsOnly) {
  driver.start(true);
  open_windows();
  plug();
  driver.power_on();
  set_up_gadget();
  gadget.kept = 0x5A;
  EXPECT_EQ(root.memory_read(0xC0101000, 4), 0x5Au);
  EXPECT_EQ(root.io_read(0x2100, 1), 0x15Au);
  EXPECT_EQ(root.memory_read(0x800004000, 4), 0x25Au);
  write(0, kDevice, reg::MemoryBase, 4, 0xC020C020);
  EXPECT_EQ(root.memory_read(0xC0101000, 4), 0xFFFFFFFFu);
  EXPECT_EQ(root.io_read(0x2100, 1), 0x15Au);
  write(0, kDevice, reg::Command, 2, command::MemorySpace);
  EXPECT_EQ(root.io_read(0x2100, 1), 0xFFu);
  EXPECT_EQ(root.memory_read(0x800004000, 4), 0x25Au);
  write(0, kDevice, reg::PrefetchBase, 4, 0x00000010);  // a base above the limit closes a window
  EXPECT_EQ(root.memory_read(0x800004000, 4), 0xFFFFFFFFu);
}

TEST_F(RootPorts, TheGuestIsAskedAndLetsGo) {
  driver.start(true);
  open_windows();
  plug();
  driver.power_on();
  messages.sent.clear();
  EXPECT_TRUE(port.ask_to_remove());
  EXPECT_FALSE(port.ask_to_remove());
  EXPECT_EQ(messages.sent.size(), 1u);
  EXPECT_NE(driver.status() & slot::AttentionButtonPressed, 0u);
  EXPECT_FALSE(port.released());
  driver.clear(slot::kEvents);
  driver.set_control(slot::PowerOff, slot::PowerOff);
  EXPECT_FALSE(port.released()) << "the indicator is still on";
  driver.set_control(slot::kPowerIndicator, slot::kPowerIndicatorOff);
  EXPECT_TRUE(port.released());
  EXPECT_GE(changes, 1);
  port.remove();
  root.rescan();
  EXPECT_EQ(driver.status() & slot::PresenceDetectState, 0u);
  EXPECT_NE(driver.status() & slot::PresenceDetectChanged, 0u);
  EXPECT_FALSE(port.removing());
}

TEST_F(RootPorts, AnEmptySlotWithoutPowerReleasesAtOnce) {
  plug();
  EXPECT_TRUE(port.ask_to_remove());
  EXPECT_TRUE(port.released());
}

TEST_F(RootPorts, PowerOffWithoutBeingAskedHidesTheFunctionAndCountsAsAReset) {
  driver.start(true);
  open_windows();
  plug();
  driver.power_on();
  set_up_gadget();
  EXPECT_FALSE(port.take_power_loss());
  driver.power_off();
  EXPECT_EQ(changes, 1);
  EXPECT_FALSE(port.released());
  EXPECT_EQ(read(kBus, 0, reg::VendorId, 4), 0xFFFFFFFFu);
  EXPECT_EQ(root.memory_read(0xC0101000, 4), 0xFFFFFFFFu);
  EXPECT_TRUE(port.take_power_loss());
  EXPECT_FALSE(port.take_power_loss());
  driver.power_on();
  EXPECT_EQ(read(kBus, 0, reg::VendorId, 4), 0x22221111u);
}

TEST_F(RootPorts, WithoutMessagesThePinIsHeldUntilEveryEventIsCleared) {
  driver.start(false);
  EXPECT_FALSE(pin());
  plug();
  EXPECT_TRUE(pin());
  EXPECT_NE(read(0, kDevice, reg::Status, 2) & status::InterruptStatus, 0u);
  driver.clear(slot::PresenceDetectChanged);
  EXPECT_TRUE(pin());
  driver.clear(slot::AttentionButtonPressed);
  EXPECT_FALSE(pin());
  EXPECT_TRUE(messages.sent.empty());
  port.ask_to_remove();
  write(0, kDevice, reg::Command, 2, command::InterruptDisable);
  EXPECT_FALSE(pin());
}

TEST_F(RootPorts, EveryCommandIsCompletedAtOnce) {
  driver.start(true);
  messages.sent.clear();
  driver.set_control(slot::kAttentionIndicator, slot::kAttentionIndicatorOff);
  EXPECT_NE(driver.status() & slot::CommandCompleted, 0u);
  EXPECT_EQ(messages.sent.size(), 1u);
}

TEST_F(RootPorts, ASecondEventSendsNoSecondMessageWhileOneWaits) {
  driver.start(true);
  messages.sent.clear();
  plug();
  port.ask_to_remove();
  EXPECT_EQ(messages.sent.size(), 1u);
  driver.clear(slot::kEvents);
  port.remove();
  EXPECT_EQ(messages.sent.size(), 1u) << "presence alone is not enabled";
  port.insert(gadget);
  EXPECT_EQ(messages.sent.size(), 2u);
}

TEST_F(RootPorts, WhatIsPluggedAtAResetHasPowerAfterIt) {
  plug();
  port.reset();
  root.rescan();
  open_windows();
  EXPECT_TRUE(driver.link_active());
  EXPECT_EQ(driver.status(), u32{slot::PresenceDetectState});
  EXPECT_EQ(read(kBus, 0, reg::VendorId, 4), 0x22221111u);
}

TEST_F(RootPorts, AStateComesBackWithEverythingThatWaits) {
  driver.start(true);
  open_windows();
  plug();
  driver.power_on();
  port.ask_to_remove();
  const auto saved = port.save();
  const auto before = driver.status();
  const auto sent = messages.sent.size();
  driver.power_off();
  ASSERT_TRUE(port.released());
  ASSERT_TRUE(port.load(saved));
  EXPECT_EQ(driver.status(), before);
  EXPECT_TRUE(driver.link_active());
  EXPECT_TRUE(port.removing());
  EXPECT_FALSE(port.released());
  EXPECT_EQ(messages.sent.size(), sent) << "what was sent is not sent again";
  EXPECT_EQ(port.save().bytes, saved.bytes);
}

TEST_F(RootPorts, AStateOfAFullSlotIsNotForAnEmptyOne) {
  const auto empty = port.save();
  plug();
  const auto full = port.save();
  EXPECT_FALSE(port.load(empty));
  port.remove();
  EXPECT_FALSE(port.load(full));
  EXPECT_TRUE(port.load(empty));
  auto wrong = empty;
  wrong.bytes[wrong.bytes.size() - 2] = 1;  // asked for what is not there
  EXPECT_FALSE(port.load(wrong));
}

}  // namespace
}  // namespace vireo::pci
