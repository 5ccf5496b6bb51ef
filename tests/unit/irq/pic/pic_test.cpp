#include "irq/pic/pic.h"

#include <gtest/gtest.h>

#include <vector>

namespace vireo::irq {
namespace {

struct PicTest : testing::Test {
  std::vector<bool> intr;
  Pic pic{[this](bool level) { intr.push_back(level); }};

  void command(u8 value) { pic.master_ports().port_write(0, 1, value); }
  void mask(u8 value) { pic.master_ports().port_write(1, 1, value); }
  void slave_command(u8 value) { pic.slave_ports().port_write(0, 1, value); }
  void slave_mask(u8 value) { pic.slave_ports().port_write(1, 1, value); }
  u8 read_isr() {
    command(0x0B);
    return static_cast<u8>(pic.master_ports().port_read(0, 1));
  }
  u8 read_irr() {
    command(0x0A);
    return static_cast<u8>(pic.master_ports().port_read(0, 1));
  }
  void pulse(unsigned irq) {
    pic.line(irq).set(true);
    pic.line(irq).set(false);
  }

  /// As Linux does: vectors 0x30 and 0x38, everything unmasked.
  void initialize(u8 icw4 = 1) {
    for (auto* ports : {&pic.master_ports(), &pic.slave_ports()}) {
      const bool master = ports == &pic.master_ports();
      ports->port_write(0, 1, 0x11);
      ports->port_write(1, 1, master ? 0x30 : 0x38);
      ports->port_write(1, 1, master ? 4 : 2);
      ports->port_write(1, 1, icw4);
      ports->port_write(1, 1, 0);
    }
  }
};

TEST_F(PicTest, DeliversAnEdgeOnceWithTheVectorOfItsBase) {
  initialize();
  pic.line(0).set(true);
  EXPECT_TRUE(pic.pending());
  EXPECT_EQ(intr, std::vector<bool>{true});
  EXPECT_EQ(pic.acknowledge(), 0x30);
  EXPECT_FALSE(pic.pending());
  command(0x20);
  EXPECT_FALSE(pic.pending());  // the line is still high, which is no edge
  pic.line(0).set(false);
  pic.line(0).set(true);
  EXPECT_TRUE(pic.pending());
}

TEST_F(PicTest, KeepsAnEdgeOfAPulseUntilItIsAcknowledged) {
  initialize();
  pulse(1);
  EXPECT_EQ(pic.acknowledge(), 0x31);
}

TEST_F(PicTest, ServesTheLowestNumberFirstAndBlocksLowerPriorities) {
  initialize();
  pulse(4);
  pulse(1);
  EXPECT_EQ(pic.acknowledge(), 0x31);
  EXPECT_FALSE(pic.pending());
  pulse(0);  // higher: nests
  EXPECT_EQ(pic.acknowledge(), 0x30);
  command(0x20);
  command(0x20);
  EXPECT_EQ(pic.acknowledge(), 0x34);
}

TEST_F(PicTest, CarriesTheSlaveThroughTheCascade) {
  initialize();
  pulse(8);
  EXPECT_EQ(pic.acknowledge(), 0x38);
  EXPECT_EQ(read_isr(), 4);
  pulse(12);
  EXPECT_FALSE(pic.pending());
  slave_command(0x20);
  command(0x62);
  EXPECT_EQ(pic.acknowledge(), 0x3C);
}

TEST_F(PicTest, BlocksAHigherSlaveInputUnlessSpecialFullyNested) {
  initialize();
  pulse(12);
  EXPECT_EQ(pic.acknowledge(), 0x3C);
  pulse(8);
  EXPECT_FALSE(pic.pending());
  initialize(0x11);
  pulse(12);
  EXPECT_EQ(pic.acknowledge(), 0x3C);
  pulse(8);
  EXPECT_TRUE(pic.pending());
  EXPECT_EQ(pic.acknowledge(), 0x38);
}

TEST_F(PicTest, FollowsALevelTriggeredLine) {
  initialize();
  pic.elcr_ports().port_write(0, 1, 0xFF);
  EXPECT_EQ(pic.elcr_ports().port_read(0, 1), 0xF8U);  // timer, keyboard and cascade are edges for good
  pic.line(5).set(true);
  EXPECT_EQ(pic.acknowledge(), 0x35);
  command(0x20);
  EXPECT_TRUE(pic.pending());
  pic.line(5).set(false);
  EXPECT_FALSE(pic.pending());
}

TEST_F(PicTest, GivesASpuriousVectorWhenTheRequestWentAway) {
  initialize();
  pic.elcr_ports().port_write(0, 2, 0xFFFF);
  pic.line(5).set(true);
  pic.line(5).set(false);
  EXPECT_EQ(pic.acknowledge(), 0x37);
  EXPECT_EQ(read_isr(), 0);
  pic.line(11).set(true);
  mask(0x04);
  EXPECT_EQ(pic.acknowledge(), 0x37);
}

TEST_F(PicTest, MasksAndRemembers) {
  initialize();
  mask(0x02);
  pulse(1);
  EXPECT_FALSE(pic.pending());
  EXPECT_EQ(read_irr(), 2);
  mask(0);
  EXPECT_EQ(pic.acknowledge(), 0x31);
}

TEST_F(PicTest, EndsInterruptsByItselfInAutoEoiMode) {
  initialize(3);
  pulse(3);
  EXPECT_EQ(pic.acknowledge(), 0x33);
  EXPECT_EQ(read_isr(), 0);
  pulse(10);
  EXPECT_EQ(pic.acknowledge(), 0x3A);
  EXPECT_FALSE(pic.pending());
}

TEST_F(PicTest, RotatesPrioritiesOnRequest) {
  initialize();
  command(0xC3);  // IR3 lowest, so IR4 highest
  pulse(0);
  pulse(4);
  EXPECT_EQ(pic.acknowledge(), 0x34);
  command(0xA0);  // rotate on non-specific EOI: IR4 lowest
  pulse(4);
  pulse(5);
  EXPECT_EQ(pic.acknowledge(), 0x35);
  command(0xE5);  // rotate on specific EOI
  EXPECT_EQ(pic.acknowledge(), 0x30);
}

TEST_F(PicTest, RotatesInAutoEoiModeWhenAsked) {
  initialize(3);
  command(0x80);
  pulse(0);
  EXPECT_EQ(pic.acknowledge(), 0x30);
  pulse(0);
  pulse(1);
  EXPECT_EQ(pic.acknowledge(), 0x31);
}

TEST_F(PicTest, LetsLowerPrioritiesThroughInSpecialMaskMode) {
  initialize();
  pulse(3);
  EXPECT_EQ(pic.acknowledge(), 0x33);
  mask(0x08);
  command(0x68);
  pulse(6);
  EXPECT_EQ(pic.acknowledge(), 0x36);
  command(0x20);  // passes over the masked IR3
  EXPECT_EQ(read_isr(), 0x08);
}

TEST_F(PicTest, AcknowledgesByPolling) {
  initialize();
  command(0x0C);
  EXPECT_EQ(pic.master_ports().port_read(0, 1) & 0x80, 0U);
  pulse(6);
  command(0x0C);
  EXPECT_EQ(pic.master_ports().port_read(0, 1), 0x86U);
  EXPECT_FALSE(pic.pending());
  EXPECT_EQ(read_isr(), 0x40);
}

TEST_F(PicTest, ForgetsRequestsAndMaskWhenInitialised) {
  initialize();
  pulse(1);
  mask(0xFF);
  initialize();
  EXPECT_FALSE(pic.pending());
  EXPECT_EQ(pic.master_ports().port_read(1, 1), 0U);
}

TEST_F(PicTest, LeavesOutIcw4WhenNotAnnounced) {
  command(0x10);
  mask(0x40);  // ICW2
  mask(0x04);  // ICW3
  mask(0x55);  // already OCW1
  EXPECT_EQ(pic.master_ports().port_read(1, 1), 0x55U);
}

TEST_F(PicTest, GoesOnFromASavedState) {
  initialize();
  pulse(8);
  pic.line(4).set(true);
  const auto saved = pic.save();
  Pic other([](bool) {});
  ASSERT_TRUE(other.load(saved));
  EXPECT_TRUE(other.pending());
  EXPECT_EQ(other.acknowledge(), 0x38);
  EXPECT_EQ(other.save().bytes.size(), saved.bytes.size());
}

TEST_F(PicTest, RefusesACorruptState) {
  auto record = pic.save();
  record.bytes[6] = 9;  // lowest priority
  EXPECT_FALSE(pic.load(record));
  record.bytes.pop_back();
  EXPECT_FALSE(pic.load(record));
}

TEST_F(PicTest, SplitsWideAccesses) {
  initialize();
  pic.master_ports().port_write(0, 2, 0xAA0B);
  EXPECT_EQ(pic.master_ports().port_read(0, 2), 0xAA00U);
  EXPECT_EQ(pic.master_ports().port_read(0, 4), 0xFFFFAA00U);
}

}  // namespace
}  // namespace vireo::irq
