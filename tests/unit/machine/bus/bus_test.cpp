#include "machine/bus/bus.h"

#include <gtest/gtest.h>

namespace vireo::machine {
namespace {

TEST(Bus, FindsTheRangeThatHoldsAnAddress) {
  int low = 0, high = 0;
  Bus<int> bus;
  bus.add(0x100, 8, high);
  bus.add(0x40, 4, low);
  EXPECT_EQ(bus.find(0x3F), nullptr);
  EXPECT_EQ(bus.find(0x40)->device, &low);
  EXPECT_EQ(bus.find(0x43)->device, &low);
  EXPECT_EQ(bus.find(0x44), nullptr);
  EXPECT_EQ(bus.find(0x107)->device, &high);
  EXPECT_EQ(bus.find(0x108), nullptr);
  EXPECT_EQ(bus.find(~u64{0}), nullptr);
}

TEST(Bus, TellsAccessesThatRunIntoARange) {
  int device = 0;
  Bus<int> bus;
  bus.add(0x40, 4, device);
  EXPECT_TRUE(bus.begins_within(0x3E, 4));
  EXPECT_FALSE(bus.begins_within(0x3C, 4));
  EXPECT_FALSE(bus.begins_within(0x41, 4));
  EXPECT_TRUE(bus.find(0x40)->holds(0x40, 4));
  EXPECT_FALSE(bus.find(0x40)->holds(0x41, 4));
}

}  // namespace
}  // namespace vireo::machine
