#include "pci/msix/msix.h"

#include <gtest/gtest.h>

#include <functional>

namespace vireo::pci {
namespace {

struct Mailbox final : vm::MsiSink {
  void send(const vm::MsiMessage& message) override { got.push_back(message); }
  std::vector<vm::MsiMessage> got;
};

class MsixTest : public testing::Test {
 protected:
  MsixTest() {
    for (u32 i = 0; i < 3; ++i) {
      msix.write_table(16 * i, 4, 0xFEE00000 + i * 0x1000);
      msix.write_table(16 * i + 8, 4, 0x40 + i);
    }
  }
  void control(u16 bits, bool bus_master = true) {
    config.write(static_cast<u16>(capability() + msix::MessageControl), 2, bits);
    config.write(reg::Command, 2, bus_master ? command::BusMaster : 0);
    msix.configure(config);
  }
  u16 capability() const { return config.get<u8>(reg::CapabilitiesPointer); }
  void mask(u32 vector, bool on) { msix.write_table(16 * vector + 12, 4, on ? 1 : 0); }

  static constexpr u16 kEnable = msix::message_control::Enable, kMask = msix::message_control::FunctionMask;
  Mailbox mailbox;
  ConfigSpace config{HeaderType::Device, {.vendor = 1, .device = 2}};
  Msix msix{config, 3, {.bar = 2, .table = 0x4000, .pending = 0x5000}, mailbox};
};

TEST_F(MsixTest, CapabilitySaysWhereTheTablesAre) {
  EXPECT_EQ(config.read(capability(), 1), 0x11u);
  EXPECT_EQ(config.read(static_cast<u16>(capability() + 2), 2), 2u);  // vectors - 1
  EXPECT_EQ(config.read(static_cast<u16>(capability() + 4), 4), 0x4002u);
  EXPECT_EQ(config.read(static_cast<u16>(capability() + 8), 4), 0x5002u);
  control(0xFFFF);
  EXPECT_EQ(config.read(static_cast<u16>(capability() + 2), 2), 0xC002u);
}

TEST_F(MsixTest, SendsTheMessageOfTheVector) {
  control(kEnable);
  mask(1, false);
  msix.write_table(16 + 4, 4, 0x12);
  msix.notify(1);
  ASSERT_EQ(mailbox.got.size(), 1u);
  EXPECT_EQ(mailbox.got[0].address, 0x12FEE01000u);
  EXPECT_EQ(mailbox.got[0].data, 0x41u);
}

TEST_F(MsixTest, EveryVectorIsMaskedAtFirst) {
  control(kEnable);
  msix.notify(0);
  EXPECT_TRUE(mailbox.got.empty());
  EXPECT_EQ(msix.read_pending(0, 8), 1u);
  EXPECT_EQ(msix.read_table(12, 4), 1u);
}

TEST_F(MsixTest, WhatCameWhileMaskedIsSentOnceWhenTheMaskGoes) {
  control(kEnable);
  msix.notify(2);
  msix.notify(2);
  EXPECT_EQ(msix.read_pending(0, 4), 4u);
  mask(2, false);
  EXPECT_EQ(mailbox.got.size(), 1u);
  EXPECT_EQ(msix.read_pending(0, 4), 0u);
  mask(2, true);
  mask(2, false);
  EXPECT_EQ(mailbox.got.size(), 1u);
}

TEST_F(MsixTest, FunctionMaskHoldsAllBack) {
  mask(0, false);
  mask(1, false);
  control(kEnable | kMask);
  msix.notify(0);
  msix.notify(1);
  EXPECT_TRUE(mailbox.got.empty());
  EXPECT_EQ(msix.read_pending(0, 8), 3u);
  control(kEnable);
  EXPECT_EQ(mailbox.got.size(), 2u);
}

TEST_F(MsixTest, SendsNothingWhileOffOrWithoutBusMastering) {
  mask(0, false);
  control(0);
  msix.notify(0);
  control(kEnable, false);
  msix.notify(0);
  control(kEnable);
  EXPECT_TRUE(mailbox.got.empty());
  EXPECT_TRUE(msix.enabled());
  msix.notify(3);  // not there
  EXPECT_TRUE(mailbox.got.empty());
}

TEST_F(MsixTest, TablesTakeWholeWordsOnly) {
  msix.write_table(0, 1, 0xFF);
  msix.write_table(2, 4, ~u64{0});
  msix.write_table(4, 8, ~u64{0});
  EXPECT_EQ(msix.read_table(0, 8), 0xFEE00000u);
  msix.write_table(0, 8, 0x1122334455667788);
  EXPECT_EQ(msix.read_table(0, 8), 0x1122334455667788u);
  EXPECT_EQ(msix.read_table(0, 2), 0u);
  msix.write_table(48, 4, 1);  // past the end
  EXPECT_EQ(msix.read_table(48, 4), 0u);
  EXPECT_EQ(msix.read_pending(8, 8), 0u);
}

TEST_F(MsixTest, StateComesBackWithWhatIsPending) {
  control(kEnable);
  msix.notify(1);
  const auto state = msix.state();
  msix.reset();
  EXPECT_EQ(msix.read_pending(0, 8), 0u);
  ASSERT_TRUE(msix.fits(state));
  msix.restore(state);
  msix.configure(config);
  EXPECT_TRUE(mailbox.got.empty());
  mask(1, false);
  ASSERT_EQ(mailbox.got.size(), 1u);
  EXPECT_EQ(mailbox.got[0].data, 0x41u);
  for (const auto& spoil : std::vector<std::function<void(Msix::State&)>>{
           [](auto& s) { s.table.pop_back(); }, [](auto& s) { s.pending.push_back(0); },
           [](auto& s) { s.pending[0] = 2; }, [](auto& s) { s.table[0] |= 1; }, [](auto& s) { s.table[3] = 2; }}) {
    auto bad = state;
    spoil(bad);
    EXPECT_FALSE(msix.fits(bad));
  }
}

}  // namespace
}  // namespace vireo::pci
