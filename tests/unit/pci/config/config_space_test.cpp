#include "pci/config/config_space.h"

#include <gtest/gtest.h>

#include <array>

namespace vireo::pci {
namespace {

constexpr Identity kIdentity = {.vendor = 0x1234,
                                .device = 0x5678,
                                .class_code = 0x020000,
                                .revision = 3,
                                .subsystem_vendor = 0xAAAA,
                                .subsystem = 0xBBBB,
                                .interrupt_pin = 1};

ConfigSpace device() { return ConfigSpace(HeaderType::Device, kIdentity); }

TEST(ConfigSpace, ShowsItsIdentityAndRefusesToChangeIt) {
  auto config = device();
  config.write(reg::VendorId, 4, 0xFFFFFFFF);
  config.write(reg::RevisionId, 4, 0xFFFFFFFF);
  config.write(reg::SubsystemVendorId, 4, 0);
  EXPECT_EQ(config.read(reg::VendorId, 4), 0x56781234u);
  EXPECT_EQ(config.read(reg::RevisionId, 4), 0x02000003u);
  EXPECT_EQ(config.read(reg::SubsystemVendorId, 4), 0xBBBBAAAAu);
  EXPECT_EQ(config.read(reg::InterruptPin, 1), 1u);
  EXPECT_EQ(config.read(0x100, 4), 0xFFFFFFFFu);
  EXPECT_EQ(config.read(0xFFFF, 4), 0xFFFFFFFFu);
  config.write(0xFFFF, 4, 0);
}

TEST(ConfigSpace, BarsTellTheirSizeWhenAllOnesAreWritten) {
  auto config = device();
  config.add_bar(0, BarKind::Io, 32);
  config.add_bar(1, BarKind::Memory32, 0x4000);
  config.add_bar(2, BarKind::PrefetchableMemory64, 8 * kGiB);
  for (u16 bar = 0; bar < 6; ++bar) config.write(static_cast<u16>(reg::BaseAddress0 + 4 * bar), 4, 0xFFFFFFFF);
  EXPECT_EQ(config.read(0x10, 4), 0xFFFFFFE1u);
  EXPECT_EQ(config.read(0x14, 4), 0xFFFFC000u);
  EXPECT_EQ(config.read(0x18, 4), 0x0000000Cu);
  EXPECT_EQ(config.read(0x1C, 4), 0xFFFFFFFEu);
  EXPECT_EQ(config.read(0x20, 4), 0u);
}

TEST(ConfigSpace, DecodesOnlyWhatIsEnabledAndPlaced) {
  auto config = device();
  config.add_bar(0, BarKind::Io, 32);
  config.add_bar(1, BarKind::Memory32, 0x4000);
  config.add_bar(2, BarKind::Memory64, 0x1000);
  EXPECT_TRUE(config.decoded().empty());
  config.write(0x10, 4, 0xC000);
  config.write(0x14, 4, 0xC0004000);
  config.write(0x18, 4, 0x1000);
  config.write(0x1C, 4, 8);
  EXPECT_TRUE(config.decoded().empty());
  config.write(reg::Command, 2, command::IoSpace);
  ASSERT_EQ(config.decoded().size(), 1u);
  EXPECT_EQ(config.decoded()[0].base, 0xC000u);
  config.write(reg::Command, 2, command::MemorySpace);
  ASSERT_EQ(config.decoded().size(), 2u);
  EXPECT_EQ(config.decoded()[0].base, 0xC0004000u);
  EXPECT_EQ(config.decoded()[1].base, 0x800001000u);
  EXPECT_EQ(config.decoded()[1].size, 0x1000u);
  config.write(0x1C, 4, 0xFFFFFFFF);  // beyond any CPU's reach
  EXPECT_EQ(config.decoded().size(), 1u);
}

TEST(ConfigSpace, CapabilitiesAreLinkedAndOnlyTheirWritableBitsChange) {
  auto config = ConfigSpace(HeaderType::Device, kIdentity, kExpressSize);
  EXPECT_EQ(config.read(reg::Status, 2), 0u);
  const auto first = config.add_capability(0x05, std::array<u8, 3>{1, 2, 3}, std::array<u8, 3>{0, 0xF0, 0});
  const auto second = config.add_capability(0x10, std::array<u8, 2>{7, 8});
  EXPECT_EQ(config.read(reg::Status, 2), status::CapabilitiesList);
  EXPECT_EQ(config.read(reg::CapabilitiesPointer, 1), first);
  EXPECT_EQ(config.read(first, 2), 0x05u | second << 8);
  EXPECT_EQ(config.read(second, 4), 0x08070010u);
  EXPECT_EQ(second % 4, 0);
  config.write(first, 4, 0xFFFFFFFF);
  EXPECT_EQ(config.read(static_cast<u16>(first + 2), 1), 1u);
  EXPECT_EQ(config.read(static_cast<u16>(first + 3), 1), 0xF2u);
  const auto extended = config.add_extended_capability(0x0001, 2, std::array<u8, 4>{});
  const auto last = config.add_extended_capability(0x0003, 1, std::array<u8, 8>{});
  EXPECT_EQ(extended, 0x100);
  EXPECT_EQ(config.read(extended, 4), 0x00020001u | u32{last} << 20);
  EXPECT_EQ(config.read(last, 4), 0x00010003u);
}

TEST(ConfigSpace, StatusBitsAreClearedByWritingOnes) {
  auto config = device();
  config.set(reg::Status, u16{0xF910});
  config.write(reg::Status, 2, 0x8010);
  EXPECT_EQ(config.read(reg::Status, 2), 0x7910u);
}

TEST(ConfigSpace, ABridgeHasBusNumbersAndWindows) {
  auto bridge = ConfigSpace(HeaderType::Bridge, {.vendor = 1, .device = 2, .class_code = 0x060400});
  bridge.write(reg::PrimaryBus, 4, 0x00030200);
  bridge.write(reg::IoBase, 2, 0xFFFF);
  bridge.write(reg::MemoryBase, 4, 0xFFFFFFFF);
  bridge.write(reg::PrefetchBase, 4, 0);
  EXPECT_EQ(bridge.read(reg::HeaderType, 1), 1u);
  EXPECT_EQ(bridge.read(reg::PrimaryBus, 4), 0x00030200u);
  EXPECT_EQ(bridge.read(reg::IoBase, 2), 0xF1F1u);
  EXPECT_EQ(bridge.read(reg::MemoryBase, 4), 0xFFF0FFF0u);
  EXPECT_EQ(bridge.read(reg::PrefetchBase, 4), 0x00010001u);
}

TEST(ConfigSpace, SavedStateComesBackAndForeignStateIsRefused) {
  auto config = device();
  config.add_bar(0, BarKind::Memory32, 0x1000);
  config.write(0x10, 4, 0xC0000000);
  config.write(reg::Command, 2, command::MemorySpace);
  const auto record = config.save("nic");
  config.reset();
  EXPECT_EQ(config.read(0x10, 4), 0u);
  ASSERT_TRUE(config.load_record(record));
  EXPECT_EQ(config.read(0x10, 4), 0xC0000000u);
  EXPECT_TRUE(config.enabled(command::MemorySpace));
  auto other = ConfigSpace(HeaderType::Device, {.vendor = 9});
  EXPECT_FALSE(other.load_record(record));
  auto larger = ConfigSpace(HeaderType::Device, kIdentity, kExpressSize);
  EXPECT_FALSE(larger.load_record(record));
}

}  // namespace
}  // namespace vireo::pci
