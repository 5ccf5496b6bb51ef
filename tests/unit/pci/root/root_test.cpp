#include "pci/root/root.h"

#include <gtest/gtest.h>

namespace vireo::pci {
namespace {

class Lamp final : public vm::IrqLine {
 public:
  void set(bool level) override { lit = level, ++changes; }
  bool lit = false;
  unsigned changes = 0;
};

/// A function with one memory and one I/O BAR that remembers what was written.
class Toy final : public Function {
 public:
  Toy() : config(HeaderType::Device, {.vendor = 0x1111, .device = 0x2222, .class_code = 0xFF0000}) {
    config.add_bar(0, BarKind::Memory32, 0x1000);
    config.add_bar(1, BarKind::Io, 16);
  }
  u32 config_read(u16 offset, u8 size) override {
    EXPECT_LE(offset % 4 + size, 4);
    return config.read(offset, size);
  }
  void config_write(u16 offset, u8 size, u32 value) override {
    EXPECT_LE(offset % 4 + size, 4);
    config.write(offset, size, value);
  }
  std::vector<ConfigSpace::Range> decoded() const override { return config.decoded(); }
  u64 bar_read(unsigned bar, u64 offset, u8) override { return bar << 16 | offset; }
  void bar_write(unsigned bar, u64 offset, u8, u64 value) override {
    last_bar = bar, last_offset = offset, last_value = value;
  }

  ConfigSpace config;
  unsigned last_bar = 99;
  u64 last_offset = 0, last_value = 0;
};

class RootTest : public testing::Test {
 protected:
  static std::array<vm::IrqLine*, 8> wires(std::array<Lamp, 8>& lamps) {
    std::array<vm::IrqLine*, 8> out{};
    for (unsigned i = 0; i < 8; ++i) out[i] = &lamps[i];
    return out;
  }
  u32 read(u32 device, u16 offset, u8 size) {
    root.config_ports().port_write(0, 4, 0x80000000 | device << 11 | (offset & 0xFC));
    return root.config_ports().port_read(static_cast<u16>(4 + offset % 4), size);
  }
  void write(u32 device, u16 offset, u8 size, u32 value) {
    root.config_ports().port_write(0, 4, 0x80000000 | device << 11 | (offset & 0xFC));
    root.config_ports().port_write(static_cast<u16>(4 + offset % 4), size, value);
  }
  std::array<Lamp, 8> lamps;
  Root root{wires(lamps)};
};

TEST_F(RootTest, ShowsTheHostBridgeThroughBothMechanisms) {
  EXPECT_EQ(read(0, reg::VendorId, 4), 0x00081B36u);
  EXPECT_EQ(read(0, reg::DeviceId, 2), 0x0008u);
  EXPECT_EQ(read(0, 0x0B, 1), 0x06u);
  EXPECT_EQ(root.ecam().mmio_read(0, 4), 0x00081B36u);
  EXPECT_EQ(root.ecam().mmio_read(0, 8), 0x0000000000081B36u);
  EXPECT_EQ(root.ecam().mmio_read(0x100, 4), 0xFFFFFFFFu);
}

TEST_F(RootTest, ReadsAllOnesWhereNothingIs) {
  EXPECT_EQ(read(5, 0, 4), 0xFFFFFFFFu);
  EXPECT_EQ(read(5, 0, 1), 0xFFu);
  EXPECT_EQ(root.ecam().mmio_read(0x0FFFF000, 8), ~u64{0});
  root.config_ports().port_write(0, 4, 0x80010000);
  EXPECT_EQ(root.config_ports().port_read(4, 4), 0xFFFFFFFFu);
  root.config_ports().port_write(0, 4, 0);  // not enabled
  EXPECT_EQ(root.config_ports().port_read(4, 4), 0xFFFFFFFFu);
  EXPECT_EQ(root.memory_read(0xC0000000, 4), 0xFFFFFFFFu);
  EXPECT_EQ(root.io_read(0xC000, 2), 0xFFFFu);
}

TEST_F(RootTest, ConfigAddressTakesOnlyDoublewords) {
  root.config_ports().port_write(0, 4, 0xFFFFFFFF);
  EXPECT_EQ(root.config_ports().port_read(0, 4), 0x80FFFFFCu);
  root.config_ports().port_write(0, 1, 0);
  EXPECT_EQ(root.config_ports().port_read(0, 4), 0x80FFFFFCu);
  EXPECT_EQ(root.config_ports().port_read(0, 2), 0xFFFFu);
}

TEST_F(RootTest, UnalignedConfigAccessesAreTakenApart) {
  Toy toy;
  root.attach(3, 0, toy);
  EXPECT_EQ(root.ecam().mmio_read((3 << 15) + 1, 4), (root.ecam().mmio_read(3 << 15, 8) >> 8) & 0xFFFFFFFF);
  root.config_ports().port_write(0, 4, 0x80000000 | 3 << 11);
  EXPECT_EQ(root.config_ports().port_read(5, 2), 0x2211u);
}

TEST_F(RootTest, BarsAnswerWhereTheGuestPutsThem) {
  Toy toy;
  root.attach(3, 0, toy);
  write(3, reg::BaseAddress0, 4, 0xC0000000);
  write(3, reg::BaseAddress0 + 4, 4, 0xC000);
  EXPECT_EQ(root.memory_read(0xC0000010, 4), 0xFFFFFFFFu);
  write(3, reg::Command, 2, command::MemorySpace | command::IoSpace);
  EXPECT_EQ(root.memory_read(0xC0000010, 4), 0x10u);
  EXPECT_EQ(root.io_read(0xC004, 1), 0x10004u);
  root.memory_write(0xC0000FF8, 8, 42);
  EXPECT_EQ(toy.last_offset, 0xFF8u);
  EXPECT_EQ(toy.last_value, 42u);
  EXPECT_EQ(root.memory_read(0xC0000FFC, 8), ~u64{0});  // straddles the end
  root.ecam().mmio_write((3 << 15) + reg::BaseAddress0, 4, 0xC1000000);
  EXPECT_EQ(root.memory_read(0xC0000010, 4), 0xFFFFFFFFu);
  EXPECT_EQ(root.memory_read(0xC1000010, 4), 0x10u);
}

TEST_F(RootTest, InterruptPinsShareWires) {
  auto& a = root.intx(1, 0);
  auto& b = root.intx(0, 1);
  auto& c = root.intx(2, 0);
  a.set(true);
  EXPECT_TRUE(lamps[1].lit);
  b.set(true);
  a.set(false);
  EXPECT_TRUE(lamps[1].lit);
  b.set(false);
  EXPECT_FALSE(lamps[1].lit);
  c.set(true);
  EXPECT_TRUE(lamps[2].lit);
  root.reset();
  EXPECT_FALSE(lamps[2].lit);
}

TEST_F(RootTest, SavedStateComesBack) {
  auto& line = root.intx(1, 0);
  auto& other = root.intx(9, 0);
  line.set(true);
  root.config_ports().port_write(0, 4, 0x80001234);
  const auto record = root.save();
  root.reset();
  ASSERT_TRUE(root.load(record));
  EXPECT_EQ(root.config_ports().port_read(0, 4), 0x80001234u);
  other.set(true);
  EXPECT_TRUE(lamps[1].lit);
  other.set(false);
  EXPECT_TRUE(lamps[1].lit);  // `line` is still up
  auto bad = record;
  bad.bytes.back() = 2;
  EXPECT_FALSE(root.load(bad));
  bad.bytes.pop_back();
  EXPECT_FALSE(root.load(bad));
}

}  // namespace
}  // namespace vireo::pci
