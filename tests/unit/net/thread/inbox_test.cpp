#include "net/thread/inbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "unit/net/frames.h"

using namespace vireo;
using namespace vireo::test;

namespace {

struct InboxTest : testing::Test {
  InboxTest() { gate.attach(port); }
  net::Gate gate;
  FakePort port;
  net::Inbox inbox{gate};
};

}  // namespace

TEST_F(InboxTest, keeps_what_the_port_leaves_and_offers_it_again_when_told) {
  port.room = 2;
  for (u8 i = 0; i < 5; ++i) inbox.add({}, Bytes{i});
  inbox.deliver();
  EXPECT_EQ(port.received.size(), 2u);
  EXPECT_TRUE(inbox.blocked());

  port.room = 1;
  inbox.deliver();
  EXPECT_EQ(port.received.size(), 2u) << "nobody has said that there is room";
  inbox.deliver(true);
  EXPECT_EQ(port.received.size(), 3u);
  port.room = 100;
  inbox.deliver(true);
  ASSERT_EQ(port.received.size(), 5u);
  for (u8 i = 0; i < 5; ++i) EXPECT_EQ(port.received[i].bytes, Bytes{i});
  EXPECT_FALSE(inbox.blocked());
}

TEST_F(InboxTest, drops_what_is_too_much) {
  port.room = 0;
  const Bytes frame(60'000);
  inbox.add({}, frame);
  inbox.deliver();
  for (int i = 0; i < 1000; ++i) inbox.add({}, frame);
  port.room = ~std::size_t{0};
  inbox.deliver(true);
  EXPECT_EQ(port.received.size(), 1 + net::Inbox::kMaxBytes / frame.size());
}

TEST_F(InboxTest, drops_frames_while_there_is_no_port) {
  gate.detach();
  inbox.add({}, Bytes{1});
  inbox.deliver();
  EXPECT_FALSE(inbox.blocked());
  gate.attach(port);
  inbox.add({}, Bytes{2});
  inbox.deliver();
  ASSERT_EQ(port.received.size(), 1u);
  EXPECT_EQ(port.received[0].bytes, Bytes{2});
}

TEST_F(InboxTest, loses_no_frame_and_no_order_among_many_threads_and_a_port_that_blocks) {
  constexpr u32 kFrames = 20'000;
  std::atomic<bool> done{false};
  std::thread guest([&] {
    while (!done) {
      port.give_room(3);
      inbox.deliver(true);
    }
    port.give_room(~std::size_t{0});
    inbox.deliver(true);
  });
  port.give_room(0);
  std::thread other([&] {
    while (!done) inbox.deliver();
  });
  for (u32 i = 0; i < kFrames; ++i) {
    Bytes frame(4);
    store(frame.data(), i);
    inbox.add({}, frame);
    inbox.deliver();
  }
  done = true;
  guest.join();
  other.join();
  inbox.deliver(true);
  ASSERT_EQ(port.received.size(), kFrames);
  for (u32 i = 0; i < kFrames; ++i) EXPECT_EQ(load<u32>(port.received[i].bytes.data()), i);
}
