#include "virtio/pci/pci_device.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/bits.h"
#include "support/virtio_driver.h"

namespace vireo::virtio {
namespace {

using test::VirtioDriver;
using namespace device_status;

/// Gives every buffer back at once; has a byte of configuration, and two features that exclude each other.
class Toy final : public Device {
 public:
  u16 id() const override { return 99; }
  u32 pci_class() const override { return 0x00FF00; }
  u64 features() const override { return 7; }
  std::span<const u16> queues() const override { return kSizes; }
  u32 config_size() const override { return 6; }
  bool negotiated(u64 features) override { return (features & 3) != 3; }
  void notify(unsigned queue) override {
    const bool more = host().queue(queue).serve(chain_, [&](Chain&) {
      if (again) again();
      return 1u;
    });
    if (more) host().notify_later(queue);
  }
  void read_config(u32 offset, std::span<u8> to) override {
    for (auto& byte : to) byte = static_cast<u8>(value + offset++);
  }
  void write_config(u32 offset, std::span<const u8> from) override {
    if (offset == 0) value = from[0];
  }
  std::vector<u8> save() const override { return {value}; }
  Result<> load(std::span<const u8> state) override {
    if (state.size() != 1 || state[0] > 100) return fail(ErrorKind::Usage, "no");
    value = state[0];
    return {};
  }
  using Device::host;

  u8 value = 0;
  std::function<void()> again;

 private:
  static constexpr std::array<u16, 2> kSizes = {64, 16};
  Chain chain_;
};

class PciDeviceTest : public testing::Test {
 protected:
  Toy* toy = new Toy;
  VirtioDriver driver{std::unique_ptr<Device>(toy)};
  pci::Function& function = driver.device;

  /// Offset of the virtio capability of a type.
  u16 capability(u8 type) {
    for (u16 at = static_cast<u16>(function.config_read(pci::reg::CapabilitiesPointer, 1)); at != 0;
         at = static_cast<u16>(function.config_read(static_cast<u16>(at + 1), 1))) {
      if (function.config_read(at, 1) == 9 && function.config_read(static_cast<u16>(at + 3), 1) == type) return at;
    }
    return 0;
  }
  void add_and_notify(unsigned queue = 0) {
    driver.ring(queue).add({{VirtioDriver::kData, 16, true}});
    driver.notify(queue);
  }
};

TEST_F(PciDeviceTest, IdentityAndCapabilitiesAreThoseOfAModernDevice) {
  EXPECT_EQ(function.config_read(pci::reg::VendorId, 4), 0x10A31AF4u);
  EXPECT_EQ(function.config_read(pci::reg::RevisionId, 1), 1u);
  for (const auto& [type, offset, length] : {std::tuple{pci_cap::COMMON_CFG, u32{window::Common}, kCommonSize},
                                             {pci_cap::NOTIFY_CFG, window::Notify, 8u},
                                             {pci_cap::ISR_CFG, window::Isr, 1u},
                                             {pci_cap::DEVICE_CFG, window::Device, 6u}}) {
    const u16 at = capability(type);
    ASSERT_NE(at, 0u) << unsigned{type};
    EXPECT_EQ(function.config_read(static_cast<u16>(at + pci_cap::Bar), 1), 0u);
    EXPECT_EQ(function.config_read(static_cast<u16>(at + pci_cap::Offset), 4), offset);
    EXPECT_EQ(function.config_read(static_cast<u16>(at + pci_cap::Length), 4), length);
  }
  EXPECT_EQ(function.config_read(static_cast<u16>(capability(pci_cap::NOTIFY_CFG) + 16), 4), 4u);
}

TEST_F(PciDeviceTest, FeaturesAreNegotiatedInHalves) {
  EXPECT_EQ(driver.device_features(), 7 | feature::VERSION_1 | feature::INDIRECT_DESC | feature::EVENT_IDX |
                                          feature::RING_PACKED | feature::RING_RESET);
  driver.set_common(Common::device_feature_select, 4, 2);
  EXPECT_EQ(driver.common(Common::device_feature, 4), 0u);
  driver.set_features(feature::VERSION_1 | 1);
  driver.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  EXPECT_EQ(driver.status(), ACKNOWLEDGE | DRIVER | FEATURES_OK);
  driver.set_features(feature::VERSION_1 | 4);  // too late
  driver.set_common(Common::driver_feature_select, 4, 0);
  EXPECT_EQ(driver.common(Common::driver_feature, 4), 1u);
}

TEST_F(PciDeviceTest, FeaturesThatCannotBeAreRefused) {
  for (const u64 features : {u64{1}, feature::VERSION_1 | 8, feature::VERSION_1 | 3}) {
    driver.set_status(0);
    driver.set_features(features);
    driver.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    EXPECT_EQ(driver.status(), ACKNOWLEDGE | DRIVER) << features;
  }
}

TEST_F(PciDeviceTest, StatusBitsStayUntilReset) {
  driver.set_status(ACKNOWLEDGE | DRIVER);
  driver.set_status(FAILED);
  EXPECT_EQ(driver.status(), ACKNOWLEDGE | DRIVER | FAILED);
  driver.set_status(DEVICE_NEEDS_RESET);  // not the driver's
  EXPECT_FALSE(driver.needs_reset());
  driver.set_status(0);
  EXPECT_EQ(driver.status(), 0u);
}

TEST_F(PciDeviceTest, QueuesServeOnceTheDriverIsReady) {
  driver.enable();
  driver.start(0);
  add_and_notify();
  EXPECT_EQ(driver.ring(0).take_used()->written, 1u);
  EXPECT_EQ(driver.msi.take(0x41), 1u);
  add_and_notify(1);
  EXPECT_EQ(driver.msi.take(0x42), 1u);
  EXPECT_EQ(driver.device.counts()[1].chains, 1u);
}

TEST_F(PciDeviceTest, NothingHappensBeforeDriverOkOrWithoutBusMastering) {
  driver.enable();
  driver.set_features(feature::VERSION_1);
  driver.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  driver.set_up_queue(0, 0);
  add_and_notify();
  EXPECT_FALSE(driver.ring(0).take_used());
  driver.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  function.config_write(pci::reg::Command, 2, pci::command::MemorySpace);
  driver.notify(0);
  EXPECT_FALSE(driver.ring(0).take_used());
  function.config_write(pci::reg::Command, 2, pci::command::MemorySpace | pci::command::BusMaster);
  driver.notify(0);
  EXPECT_TRUE(driver.ring(0).take_used());
}

TEST_F(PciDeviceTest, AnEnabledQueueStaysWhereItIs) {
  driver.enable();
  driver.start(0);
  driver.set_common(Common::queue_select, 2, 0);
  driver.set_common(Common::queue_size, 2, 8);
  driver.set_common(Common::queue_desc, 8, 0x1000);
  EXPECT_EQ(driver.common(Common::queue_size, 2), 64u);
  EXPECT_EQ(driver.common(Common::queue_desc, 8), driver.ring(0).place().descriptor);
  EXPECT_EQ(driver.common(Common::queue_enable, 2), 1u);
}

TEST_F(PciDeviceTest, SizesAndVectorsAreChecked) {
  driver.set_common(Common::queue_select, 2, 1);
  EXPECT_EQ(driver.common(Common::queue_size, 2), 16u);
  driver.set_common(Common::queue_size, 2, 32);
  driver.set_common(Common::queue_size, 2, 0);
  EXPECT_EQ(driver.common(Common::queue_size, 2), 16u);
  driver.set_common(Common::queue_msix_vector, 2, 2);
  EXPECT_EQ(driver.common(Common::queue_msix_vector, 2), 2u);
  driver.set_common(Common::queue_msix_vector, 2, 3);
  EXPECT_EQ(driver.common(Common::queue_msix_vector, 2), NO_VECTOR);
  driver.set_common(Common::queue_select, 2, 2);  // no such queue
  EXPECT_EQ(driver.common(Common::queue_size, 2), 0u);
  driver.set_common(Common::queue_desc, 4, 0x1000);
  driver.set_common(Common::queue_enable, 2, 1);
}

TEST_F(PciDeviceTest, AQueueThatCannotBeNeedsAReset) {
  driver.enable();
  driver.set_features(feature::VERSION_1);
  driver.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
  driver.set_common(Common::config_msix_vector, 2, 0);
  driver.set_common(Common::queue_select, 2, 0);
  driver.set_common(Common::queue_desc, 8, VirtioDriver::kMemory);
  driver.set_common(Common::queue_enable, 2, 1);
  driver.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
  EXPECT_TRUE(driver.needs_reset());
  EXPECT_EQ(driver.msi.take(0x40), 1u);
  driver.notify(0);
  driver.start(0);
  EXPECT_FALSE(driver.needs_reset());
}

TEST_F(PciDeviceTest, ABrokenRingNeedsAResetAndIsTouchedNoMore) {
  driver.enable();
  driver.start(0);
  driver.ring(0).add({{VirtioDriver::kMemory, 16, true}});
  driver.notify(0);
  EXPECT_TRUE(driver.needs_reset());
  driver.ring(0).add({{VirtioDriver::kData, 16, true}});
  driver.notify(0);
  EXPECT_FALSE(driver.ring(0).take_used());
}

TEST_F(PciDeviceTest, ThePinIsUsedWithoutMsix) {
  driver.enable(false);
  driver.start(0);
  add_and_notify();
  EXPECT_TRUE(driver.pin.level);
  EXPECT_NE(function.config_read(pci::reg::Status, 2) & pci::status::InterruptStatus, 0u);
  constexpr u16 kOn = pci::command::MemorySpace | pci::command::BusMaster;
  function.config_write(pci::reg::Command, 2, kOn | pci::command::InterruptDisable);
  EXPECT_FALSE(driver.pin.level);
  function.config_write(pci::reg::Command, 2, kOn);
  EXPECT_TRUE(driver.pin.level);
  toy->host().config_changed();
  EXPECT_EQ(driver.read(window::Isr, 0, 1), 3u);
  EXPECT_FALSE(driver.pin.level);
  EXPECT_EQ(driver.read(window::Isr, 0, 1), 0u);
  EXPECT_TRUE(driver.msi.data.empty());
}

TEST_F(PciDeviceTest, ConfigurationChangesAreToldAndCounted) {
  driver.enable();
  driver.start(0);
  const auto generation = driver.common(Common::config_generation, 1);
  toy->host().config_changed();
  EXPECT_EQ(driver.msi.take(0x40), 1u);
  EXPECT_NE(driver.common(Common::config_generation, 1), generation);
}

TEST_F(PciDeviceTest, DeviceConfigurationEndsWhereTheDeviceSays) {
  driver.write(window::Device, 0, 1, 10);
  EXPECT_EQ(driver.read(window::Device, 0, 4), 0x0D0C0B0Au);
  EXPECT_EQ(driver.read(window::Device, 4, 4), 0x0F0Eu);
  EXPECT_EQ(driver.read(window::Device, 6, 4), 0u);
  driver.write(window::Device, 4, 4, 0xFF);
  driver.write(window::Device, 0xFF8, 8, 0xFF);
  EXPECT_EQ(toy->value, 10u);
}

TEST_F(PciDeviceTest, RegistersAreReachedThroughConfigurationSpace) {
  const u16 at = capability(pci_cap::PCI_CFG);
  ASSERT_NE(at, 0u);
  const auto aim = [&](u32 offset, u32 length, u32 bar = 0) {
    function.config_write(static_cast<u16>(at + pci_cap::Bar), 1, bar);
    function.config_write(static_cast<u16>(at + pci_cap::Offset), 4, offset);
    function.config_write(static_cast<u16>(at + pci_cap::Length), 4, length);
  };
  const u16 data = static_cast<u16>(at + pci_cap::PciCfgData);
  aim(window::Common + raw(Common::num_queues), 2);
  EXPECT_EQ(function.config_read(data, 2), 2u);
  aim(window::Common + raw(Common::device_status), 1);
  function.config_write(data, 1, ACKNOWLEDGE);
  EXPECT_EQ(driver.status(), ACKNOWLEDGE);
  aim(window::kSize, 4);
  EXPECT_EQ(function.config_read(data, 4), 0u);
  function.config_write(data, 4, 0);
  aim(raw(Common::device_status), 1, 3);
  function.config_write(data, 1, 0);
  aim(raw(Common::device_status), 8);
  function.config_write(data, 4, 0);
  EXPECT_EQ(driver.status(), ACKNOWLEDGE);
}

TEST_F(PciDeviceTest, AQueueIsResetAloneAndSetUpAgain) {
  driver.enable();
  driver.start(feature::RING_RESET);
  add_and_notify(0);
  driver.set_common(Common::queue_select, 2, 0);
  driver.set_common(Common::queue_reset, 2, 1);
  EXPECT_EQ(driver.common(Common::queue_reset, 2), 0u);
  EXPECT_EQ(driver.common(Common::queue_enable, 2), 0u);
  EXPECT_EQ(driver.common(Common::queue_size, 2), 64u);
  driver.set_up_queue(0, 0, 8);
  add_and_notify(0);
  EXPECT_TRUE(driver.ring(0).take_used());
  add_and_notify(1);
  EXPECT_TRUE(driver.ring(1).take_used());
  driver.start(0);  // without the feature
  driver.set_common(Common::queue_select, 2, 0);
  driver.set_common(Common::queue_reset, 2, 1);
  EXPECT_EQ(driver.common(Common::queue_enable, 2), 1u);
}

TEST_F(PciDeviceTest, AGreedyDriverDoesNotKeepTheThread) {
  driver.enable();
  driver.start(0, 8);
  unsigned added = 0;
  toy->again = [&] {
    driver.ring(0).take_used();
    if (added++ < 1000) driver.ring(0).add({{VirtioDriver::kData, 16, true}});
  };
  add_and_notify();
  EXPECT_LE(added, 10u);
  EXPECT_EQ(driver.clock.armed(), 1u);
  for (unsigned i = 0; i < 200; ++i) driver.clock.advance(1);
  EXPECT_GT(added, 1000u);  // and all of it is served
  EXPECT_EQ(driver.clock.armed(), 0u);
}

TEST_F(PciDeviceTest, SavedStateComesBack) {
  driver.enable();
  for (const u64 features : {u64{0}, feature::RING_PACKED}) {
    driver.start(features);
    driver.write(window::Device, 0, 1, 42);
    add_and_notify();
    driver.device.pause();
    const auto record = driver.device.save();
    driver.device.reset();
    toy->value = 0;
    ASSERT_TRUE(driver.device.load(record));
    EXPECT_EQ(driver.device.save().bytes, record.bytes);
    driver.device.resume();
    EXPECT_EQ(toy->value, 42u);
    driver.msi.data.clear();
    EXPECT_TRUE(driver.ring(0).take_used());
    add_and_notify();
    EXPECT_TRUE(driver.ring(0).take_used());
    EXPECT_EQ(driver.msi.take(0x41), 1u);
  }
}

TEST_F(PciDeviceTest, StatesThatCannotBeAreRefused) {
  driver.enable();
  driver.start(0);
  driver.device.pause();
  const auto good = driver.device.save();
  SavedDevice saved;
  ASSERT_TRUE(vm::load_fields(good, saved));
  const auto refused = [&](auto spoil) {
    auto bad = saved;
    spoil(bad);
    return !driver.device.load(vm::save_fields("virtio", bad));
  };
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_TRUE(refused([](auto& s) { s.transport.status |= 16; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.status &= static_cast<u8>(~FEATURES_OK); }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.driver_features |= 8; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.driver_features = 0; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.driver_features |= 3; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.queues.pop_back(); }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.queues[0].vector = 3; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.queues[0].place.size = 128; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.queues[0].place.descriptor = ~u64{0}; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.queues[0].enabled = false; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.config_vector = 3; }));
  EXPECT_TRUE(refused([](auto& s) { s.transport.isr = 4; }));
  EXPECT_TRUE(refused([](auto& s) { s.msix.pending.clear(); }));
  EXPECT_TRUE(refused([](auto& s) { s.config_space.pop_back(); }));
  EXPECT_TRUE(refused([](auto& s) { s.device[0] = 101; }));
  EXPECT_FALSE(driver.device.load(test::truncated(good)));
}

}  // namespace
}  // namespace vireo::virtio
