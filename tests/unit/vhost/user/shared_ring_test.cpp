#include "vhost/user/shared_ring.h"

#include <gtest/gtest.h>

#include <map>

#include "base/bytes.h"

namespace vireo::vhost::user {
namespace {

class SharedRingTest : public testing::Test {
 protected:
  /// What the other process does.
  void give_back(u32 id, u32 written) {
    u8* used = memory.data() + SharedRing::kUsed;
    const u16 index = load<u16>(used + 2);
    store(used + 4 + 8 * (index % SharedRing::kSize), id);
    store(used + 8 + 8 * (index % SharedRing::kSize), written);
    store(used + 2, static_cast<u16>(index + 1));
  }
  struct Descriptor {
    u64 address;
    u32 length;
    u16 flags, next;
  };
  Descriptor descriptor(u16 index) { return load<Descriptor>(memory.data() + 16 * index); }

  alignas(16) std::vector<u8> memory = std::vector<u8>(SharedRing::kBytes);
  SharedRing ring{memory.data()};
};

TEST_F(SharedRingTest, AChainIsLinkedAndAvailable) {
  const SharedRing::Piece in[] = {{0x1000, 40}, {0x2000, 8}}, out[] = {{0x3000, 4096}};
  const auto ticket = ring.add(in, out);
  ASSERT_TRUE(ticket);
  EXPECT_EQ(load<u16>(memory.data() + SharedRing::kAvailable + 2), 1u);
  EXPECT_EQ(load<u16>(memory.data() + SharedRing::kAvailable + 4), *ticket);
  auto one = descriptor(*ticket);
  EXPECT_EQ(one.address, 0x1000u);
  EXPECT_EQ(one.flags, 1u);
  one = descriptor(one.next);
  EXPECT_EQ(one.address, 0x2000u);
  EXPECT_EQ(one.flags, 1u);
  one = descriptor(one.next);
  EXPECT_EQ(one.length, 4096u);
  EXPECT_EQ(one.flags, 2u);
}

TEST_F(SharedRingTest, DescriptorsComeBackWhenARequestIsDone) {
  const std::vector<SharedRing::Piece> many(600, {0x1000, 1});
  for (unsigned round = 0; round < 200; ++round) {  // the indices wrap
    const auto ticket = ring.add({}, many);
    ASSERT_TRUE(ticket);
    EXPECT_FALSE(ring.add({}, many));
    EXPECT_FALSE(ring.take());
    give_back(*ticket, 600);
    const auto done = ring.take();
    ASSERT_TRUE(done);
    EXPECT_EQ(done->ticket, *ticket);
    EXPECT_EQ(done->written, 600u);
  }
}

TEST_F(SharedRingTest, TheOtherProcessMayAskForSilence) {
  EXPECT_TRUE(ring.must_kick());
  store(memory.data() + SharedRing::kUsed, u16{1});
  EXPECT_FALSE(ring.must_kick());
}

TEST_F(SharedRingTest, WhatIsNotOnItsWayBreaksTheRing) {
  const SharedRing::Piece piece[] = {{0x1000, 40}};
  const auto ticket = ring.add(piece, {});
  ASSERT_TRUE(ticket);
  give_back(*ticket, 0);
  give_back(*ticket, 0);
  EXPECT_TRUE(ring.take());
  EXPECT_FALSE(ring.take());
  EXPECT_TRUE(ring.broken());
}

TEST_F(SharedRingTest, AnIdBeyondTheRingBreaksIt) {
  give_back(0x10000, 0);
  EXPECT_FALSE(ring.take());
  EXPECT_TRUE(ring.broken());
}

TEST_F(SharedRingTest, MoreThanWasWritableBreaksTheRing) {
  const SharedRing::Piece piece[] = {{0x1000, 40}};
  const auto ticket = ring.add({}, piece);
  give_back(*ticket, 41);
  EXPECT_FALSE(ring.take());
  EXPECT_TRUE(ring.broken());
}

}  // namespace
}  // namespace vireo::vhost::user
