#include "irq/ioapic/ioapic.h"

#include <gtest/gtest.h>

#include <vector>

namespace vireo::irq {
namespace {

struct RecordingSink final : vm::MsiSink {
  void send(const vm::MsiMessage& message) override { sent.push_back(message); }
  std::vector<vm::MsiMessage> sent;
};

struct IoApicTest : testing::Test {
  RecordingSink sink;
  std::vector<std::pair<unsigned, IoApic::Route>> changes;
  IoApic ioapic{sink, [this](unsigned pin, const IoApic::Route& route) { changes.emplace_back(pin, route); }};

  u32 read(u8 index) {
    ioapic.mmio_write(0, 4, index);
    return static_cast<u32>(ioapic.mmio_read(0x10, 4));
  }
  void write(u8 index, u32 value) {
    ioapic.mmio_write(0, 4, index);
    ioapic.mmio_write(0x10, 4, value);
  }
  void set_entry(unsigned pin, u64 entry) {
    write(static_cast<u8>(0x11 + 2 * pin), static_cast<u32>(entry >> 32));
    write(static_cast<u8>(0x10 + 2 * pin), static_cast<u32>(entry));
  }
  static constexpr u64 kLevel = 0x8000, kMasked = 0x10000, kRemoteIrr = 0x4000;
};

TEST_F(IoApicTest, TellsVersionAndNumberOfPins) {
  EXPECT_EQ(read(1), 0x00170020U);
  write(0, 0x05000000);
  EXPECT_EQ(read(0), 0x05000000U);
}

TEST_F(IoApicTest, StartsWithEveryPinMasked) {
  for (u8 pin = 0; pin < IoApic::kPins; ++pin) {
    EXPECT_EQ(read(static_cast<u8>(0x10 + 2 * pin)), kMasked);
    ioapic.pin(pin).set(true);
  }
  EXPECT_TRUE(sink.sent.empty());
}

TEST_F(IoApicTest, SendsAnEdgeAsTheMessageOfItsEntry) {
  set_entry(2, u64{0x03} << 56 | 0x0831);  // logical, destination 3
  ioapic.pin(2).set(true);
  ioapic.pin(2).set(true);
  ASSERT_EQ(sink.sent.size(), 1U);
  EXPECT_EQ(sink.sent[0].address, 0xFEE03004U);
  EXPECT_EQ(sink.sent[0].data, 0x31U);
  ioapic.pin(2).set(false);
  ioapic.pin(2).set(true);
  EXPECT_EQ(sink.sent.size(), 2U);
}

TEST_F(IoApicTest, LosesAnEdgeOnAMaskedPin) {
  set_entry(4, kMasked | 0x40);
  ioapic.pin(4).set(true);
  set_entry(4, 0x40);
  EXPECT_TRUE(sink.sent.empty());
}

TEST_F(IoApicTest, HoldsALevelUntilItsEndOfInterrupt) {
  set_entry(10, kLevel | 0x50);
  ioapic.pin(10).set(true);
  ASSERT_EQ(sink.sent.size(), 1U);
  EXPECT_EQ(sink.sent[0].data, 0xC050U);
  EXPECT_EQ(read(0x24), kLevel | kRemoteIrr | 0x50U);
  ioapic.pin(10).set(false);
  ioapic.pin(10).set(true);
  EXPECT_EQ(sink.sent.size(), 1U);
  ioapic.eoi(0x51);  // another vector
  EXPECT_EQ(sink.sent.size(), 1U);
  ioapic.eoi(0x50);
  EXPECT_EQ(sink.sent.size(), 2U);  // still high
  ioapic.pin(10).set(false);
  ioapic.eoi(0x50);
  EXPECT_EQ(sink.sent.size(), 2U);
  EXPECT_EQ(read(0x24), kLevel | 0x50U);
}

TEST_F(IoApicTest, SendsAWaitingLevelWhenUnmasked) {
  set_entry(10, kLevel | kMasked | 0x50);
  ioapic.pin(10).set(true);
  EXPECT_TRUE(sink.sent.empty());
  set_entry(10, kLevel | 0x50);
  EXPECT_EQ(sink.sent.size(), 1U);
}

TEST_F(IoApicTest, HasAnEoiRegister) {
  set_entry(10, kLevel | 0x50);
  ioapic.pin(10).set(true);
  ioapic.pin(10).set(false);
  ioapic.mmio_write(0x40, 4, 0x50);
  EXPECT_EQ(read(0x24) & kRemoteIrr, 0U);
}

TEST_F(IoApicTest, ClearsRemoteIrrWhenAnEntryBecomesEdgeTriggered) {
  set_entry(10, kLevel | 0x50);
  ioapic.pin(10).set(true);
  ioapic.pin(10).set(false);
  set_entry(10, kMasked | 0x50);
  set_entry(10, kLevel | 0x50);
  EXPECT_EQ(read(0x24) & kRemoteIrr, 0U);
}

TEST_F(IoApicTest, CannotBeGivenRemoteIrrByTheGuest) {
  set_entry(10, kLevel | kRemoteIrr | 0x1000 | 0x50);
  EXPECT_EQ(read(0x24), kLevel | 0x50U);
}

TEST_F(IoApicTest, ReportsRoutesWhenTheyChange) {
  set_entry(10, u64{1} << 56 | kLevel | 0x50);
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes.back().first, 10U);
  EXPECT_EQ(changes.back().second, ioapic.routes()[10]);
  EXPECT_TRUE(changes.back().second.level);
  EXPECT_FALSE(changes.back().second.masked);
  EXPECT_EQ(changes.back().second.message.address, 0xFEE01000U);
  const auto before = changes.size();
  set_entry(10, u64{1} << 56 | kLevel | 0x50);
  EXPECT_EQ(changes.size(), before);
  ioapic.reset();
  EXPECT_EQ(changes.size(), before + 1);
  EXPECT_TRUE(ioapic.routes()[10].masked);
}

TEST_F(IoApicTest, GoesOnFromASavedState) {
  set_entry(10, kLevel | 0x50);
  ioapic.pin(10).set(true);
  RecordingSink other_sink;
  IoApic other(other_sink);
  ASSERT_TRUE(other.load(ioapic.save()));
  EXPECT_EQ(other.routes(), ioapic.routes());
  EXPECT_TRUE(other_sink.sent.empty());
  other.eoi(0x50);
  EXPECT_EQ(other_sink.sent.size(), 1U);
}

TEST_F(IoApicTest, RefusesACorruptState) {
  auto record = ioapic.save();
  record.bytes[1] = 16;
  EXPECT_FALSE(ioapic.load(record));
  record.bytes[1] = 0;
  record.bytes[6 + 3] = 1;  // a reserved bit of entry 0
  EXPECT_FALSE(ioapic.load(record));
}

}  // namespace
}  // namespace vireo::irq
