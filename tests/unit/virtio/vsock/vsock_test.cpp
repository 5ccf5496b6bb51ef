#include "virtio/vsock/vsock.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "support/fake_streams.h"
#include "support/virtio_driver.h"

namespace vireo::virtio {
namespace {

using namespace vsock;
using test::VirtioDriver;

constexpr u64 kOut = VirtioDriver::kData, kIn = VirtioDriver::kData + 0x20000;
constexpr u32 kInSize = 4096 + kHeaderSize;
constexpr u32 kCid = 7, kGuestPort = 1234, kHostPort = 80;
constexpr u32 kGuestBuffer = 65536;

class VsockTest : public testing::Test {
 protected:
  VsockTest() { start(); }
  void start() {
    driver.enable();
    driver.start(STREAM);
    sent_ = 0;
  }
  /// A packet of the guest. Every buffer it needs is given and comes back.
  void send(Header header, std::string_view data = {}) {
    if (header.src_cid == 0) header.src_cid = kCid;
    if (header.dst_cid == 0) header.dst_cid = kHostCid;
    if (header.type == 0) header.type = TYPE_STREAM;
    if (header.src_port == 0) header.src_port = kGuestPort;
    if (header.dst_port == 0) header.dst_port = kHostPort;
    if (header.buf_alloc == 0) header.buf_alloc = kGuestBuffer;
    if (header.op == OP_RW && header.len == 0) header.len = static_cast<u32>(data.size());
    driver.memory.write(kOut, &header, sizeof header);
    if (!data.empty()) driver.memory.write(kOut + kHeaderSize, data.data(), data.size());
    std::vector<test::Piece> pieces{{kOut, kHeaderSize}};
    if (!data.empty()) pieces.push_back({kOut + kHeaderSize, static_cast<u32>(data.size())});
    driver.ring(tx).add(pieces);
    driver.notify(tx);
    while (driver.ring(tx).take_used()) {
    }
  }
  void send(u16 op, u32 flags = 0) { send(Header{.op = op, .flags = flags}); }
  void send_text(std::string_view text) { send(Header{.op = OP_RW}, text); }

  struct Packet {
    Header header;
    std::string data;
  };
  /// The next packet for the guest.
  std::optional<Packet> receive(u32 size = kInSize) {
    driver.ring(rx).add({{kIn, size, true}});
    driver.notify(rx);
    const auto used = driver.ring(rx).take_used();
    if (!used) {
      waiting_ = true;
      return std::nullopt;
    }
    Packet packet;
    driver.memory.read(kIn, &packet.header, sizeof packet.header);
    packet.data.resize(packet.header.len);
    driver.memory.read(kIn + kHeaderSize, packet.data.data(), packet.data.size());
    EXPECT_EQ(used->written, kHeaderSize + packet.header.len);
    EXPECT_EQ(packet.header.src_cid, kHostCid);
    EXPECT_EQ(packet.header.dst_cid, kCid);
    EXPECT_EQ(packet.header.type, TYPE_STREAM);
    return packet;
  }
  u16 next_op() {
    const auto packet = receive();
    return packet ? packet->header.op : 0;
  }
  std::shared_ptr<test::StreamEnd> open() {
    auto end = streams.add(kHostPort);
    send(OP_REQUEST);
    EXPECT_EQ(next_op(), OP_RESPONSE);
    return end;
  }

  test::FakeStreams streams;
  VirtioDriver driver{std::make_unique<Vsock>(kCid, streams)};
  bool waiting_ = false;

 private:
  u32 sent_ = 0;
};

TEST_F(VsockTest, TheGuestLearnsItsContext) { EXPECT_EQ(driver.config<u64>(config::guest_cid), kCid); }

TEST_F(VsockTest, AGuestReachesTheHost) {
  const auto end = open();
  send_text("hello ");
  send_text("world");
  EXPECT_EQ(end->got, "hello world");
  end->input = "answer";
  const auto packet = receive();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->header.op, OP_RW);
  EXPECT_EQ(packet->data, "answer");
  EXPECT_EQ(packet->header.src_port, kHostPort);
  EXPECT_EQ(packet->header.dst_port, kGuestPort);
  EXPECT_EQ(packet->header.fwd_cnt, 11u);
  EXPECT_EQ(packet->header.buf_alloc, Connection::kBuffer);
}

TEST_F(VsockTest, NobodyThereIsAReset) {
  send(OP_REQUEST);
  EXPECT_EQ(next_op(), OP_RST);
  send_text("to a connection that is none");
  EXPECT_EQ(next_op(), OP_RST);
  send(OP_RST);
  EXPECT_EQ(next_op(), 0);
}

TEST_F(VsockTest, TheHostMayTakeItsTimeToAnswer) {
  const auto end = streams.add(kHostPort);
  end->state = vireo::net::Stream::State::Coming;
  send(OP_REQUEST);
  EXPECT_EQ(next_op(), 0);
  end->state = vireo::net::Stream::State::There;
  streams.wake();
  ASSERT_TRUE(driver.ring(rx).take_used());  // in the buffer that waited
  end->state = vireo::net::Stream::State::Refused;
  send(Header{.src_port = 99, .op = OP_REQUEST});
  EXPECT_EQ(next_op(), OP_RST);
}

TEST_F(VsockTest, TheHostReachesAGuest) {
  const auto end = streams.call(5000);
  auto packet = receive();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->header.op, OP_REQUEST);
  EXPECT_EQ(packet->header.dst_port, 5000u);
  EXPECT_EQ(end->confirmed, 0u);
  send(Header{.src_port = 5000, .dst_port = packet->header.src_port, .op = OP_RESPONSE});
  EXPECT_EQ(end->confirmed, packet->header.src_port);
  send(Header{.src_port = 5000, .dst_port = packet->header.src_port, .op = OP_RW}, "hello");
  EXPECT_EQ(end->got, "hello");

  const auto refused = streams.call(5001);
  packet = receive();
  ASSERT_TRUE(packet);
  send(Header{.src_port = 5001, .dst_port = packet->header.src_port, .op = OP_RST});
  EXPECT_TRUE(refused->destroyed);
  EXPECT_EQ(refused->confirmed, 0u);
}

TEST_F(VsockTest, ACallBeforeThereIsADriverEndsAtOnce) {
  driver.set_status(0);
  EXPECT_TRUE(streams.call(5000)->destroyed);
}

TEST_F(VsockTest, NoMoreIsReadThanTheGuestHasSpaceFor) {
  const auto end = open();
  end->input = std::string(kGuestBuffer + 1000, 'x');
  u64 got = 0;
  for (unsigned i = 0; i < 100; ++i) {
    const auto packet = receive();
    ASSERT_TRUE(packet);
    if (packet->header.op == OP_CREDIT_REQUEST) break;
    got += packet->data.size();
  }
  EXPECT_EQ(got, kGuestBuffer);
  EXPECT_EQ(end->input.size(), 1000u);
  EXPECT_FALSE(end->waits_for_input);
  EXPECT_EQ(next_op(), 0);  // it asked once
  send(Header{.op = OP_CREDIT_UPDATE, .fwd_cnt = kGuestBuffer});
  EXPECT_TRUE(end->input.empty());
}

TEST_F(VsockTest, TheGuestHearsOfSpaceOnceTheHostHasTakenMuch) {
  const auto end = open();
  end->room = 0;
  const std::string piece(32768, 'x');
  for (u32 sent = 0; sent < Connection::kBuffer; sent += 32768) send_text(piece);
  EXPECT_EQ(next_op(), 0);
  EXPECT_TRUE(end->waits_for_space);
  end->room = 200'000;
  streams.wake();
  const auto used = driver.ring(rx).take_used();  // in the buffer that waited
  ASSERT_TRUE(used);
  Header header;
  driver.memory.read(kIn, &header, sizeof header);
  EXPECT_EQ(header.op, OP_CREDIT_UPDATE);
  EXPECT_EQ(header.fwd_cnt, 200'000u);
  EXPECT_EQ(end->got.size(), 200'000u);
}

TEST_F(VsockTest, AGuestThatSendsMoreThanFitsIsReset) {
  const auto end = open();
  end->room = 0;
  for (u32 sent = 0; sent < Connection::kBuffer; sent += 32768) send_text(std::string(32768, 'x'));
  send_text("y");
  EXPECT_EQ(next_op(), OP_RST);
  EXPECT_TRUE(end->destroyed);
}

TEST_F(VsockTest, ALengthThatIsNotThereIsReset) {
  const auto end = open();
  send(Header{.len = 100, .op = OP_RW}, "short");
  EXPECT_EQ(next_op(), OP_RST);
  EXPECT_EQ(end->got, "");
}

TEST_F(VsockTest, EachSideMayEndItsHalf) {
  const auto end = open();
  send_text("question");
  send(OP_SHUTDOWN, SHUTDOWN_SEND);
  EXPECT_TRUE(end->ended);
  end->input = "answer";
  EXPECT_EQ(receive()->data, "answer");
  end->input_ends = true;
  const auto packet = receive();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->header.op, OP_SHUTDOWN);
  EXPECT_EQ(packet->header.flags, SHUTDOWN_SEND);
  EXPECT_FALSE(end->destroyed);
  send(OP_SHUTDOWN, SHUTDOWN_BOTH);
  EXPECT_EQ(next_op(), OP_RST);
  EXPECT_TRUE(end->destroyed);
}

TEST_F(VsockTest, AHostThatIsGoneEndsBothHalves) {
  const auto end = open();
  end->input_ends = end->all_gone = true;
  auto packet = receive();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->header.op, OP_SHUTDOWN);
  EXPECT_EQ(packet->header.flags, SHUTDOWN_BOTH);
  send(OP_RST);
  EXPECT_TRUE(end->destroyed);
}

TEST_F(VsockTest, AHostThatTakesNoMoreIsToldToTheGuest) {
  const auto end = open();
  end->takes_nothing = true;
  send_text("lost");
  const auto packet = receive();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->header.op, OP_SHUTDOWN);
  EXPECT_EQ(packet->header.flags, SHUTDOWN_RECEIVE);
  EXPECT_EQ(packet->header.fwd_cnt, 4u);
}

TEST_F(VsockTest, WhatAGuestSentBeforeItLeftReachesASlowHost) {
  const auto end = open();
  end->room = 3;
  send_text("last words");
  send(OP_SHUTDOWN, SHUTDOWN_BOTH);
  EXPECT_EQ(next_op(), 0);  // not before the host has it
  send(OP_RST);             // but the guest does not wait
  EXPECT_FALSE(end->destroyed);
  EXPECT_TRUE(end->waits_for_space);
  end->room = 100;
  streams.wake();
  EXPECT_EQ(end->got, "last words");
  streams.wake();
  EXPECT_TRUE(end->destroyed);
}

TEST_F(VsockTest, ConnectionsAreBounded) {
  for (u32 port = 1; port <= Vsock::kMaxConnections + 10; ++port) {
    streams.add(port);
    send(Header{.dst_port = port, .op = OP_REQUEST});
  }
  EXPECT_TRUE(streams.call(1)->destroyed);
  unsigned responses = 0, resets = 0;
  while (const u16 op = next_op()) op == OP_RESPONSE ? ++responses : ++resets;
  EXPECT_EQ(responses, Vsock::kMaxConnections);
  EXPECT_EQ(resets, 10u);
}

TEST_F(VsockTest, AGuestThatFetchesNoRepliesIsHeardNoMoreUntilItDoes) {
  for (unsigned i = 0; i < Vsock::kMaxReplies; ++i) send_text("nobody");
  const Header header{.src_cid = kCid, .dst_cid = kHostCid, .type = TYPE_STREAM, .op = OP_REQUEST};
  driver.memory.write(kOut, &header, sizeof header);
  driver.ring(tx).add({{kOut, kHeaderSize}});
  driver.notify(tx);
  EXPECT_FALSE(driver.ring(tx).take_used());
  EXPECT_EQ(next_op(), OP_RST);
  EXPECT_TRUE(driver.ring(tx).take_used());
}

TEST_F(VsockTest, PacketsOfOthersAreDropped) {
  streams.add(kHostPort);
  send(Header{.src_cid = kCid + 1, .op = OP_REQUEST});
  send(Header{.dst_cid = 3, .op = OP_REQUEST});
  driver.ring(tx).add({{kOut, 10}});
  driver.notify(tx);
  EXPECT_TRUE(driver.ring(tx).take_used());
  EXPECT_EQ(next_op(), 0);
  EXPECT_FALSE(streams.ends[kHostPort]->destroyed);
}

TEST_F(VsockTest, OtherTypesOfSocketsAreRefused) {
  streams.add(kHostPort);
  send(Header{.type = 2, .op = OP_REQUEST});
  EXPECT_EQ(next_op(), OP_RST);
}

TEST_F(VsockTest, BuffersTooSmallForAHeaderComeBackEmpty) {
  const auto end = open();
  end->input = "text";
  driver.ring(rx).add({{kIn, 10, true}});
  driver.notify(rx);
  auto used = driver.ring(rx).take_used();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, 0u);
  driver.ring(rx).add({{kIn, kHeaderSize, true}});
  driver.notify(rx);
  used = driver.ring(rx).take_used();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, 0u);
  EXPECT_EQ(receive()->data, "text");
}

TEST_F(VsockTest, AResetDestroysConnectionsOnTheLoopsThread) {
  const auto end = open();
  driver.set_status(0);
  EXPECT_TRUE(end->destroyed);
  start();
  send_text("to a connection of before");
  EXPECT_EQ(next_op(), OP_RST);
}

TEST_F(VsockTest, ARestoredGuestIsToldThatItsConnectionsAreGone) {
  const auto end = open();
  driver.ring(event).add({{kIn + 0x8000, 8, true}});
  driver.device.pause();
  const auto record = driver.device.save();
  driver.device.resume();
  EXPECT_FALSE(driver.ring(event).take_used());  // a save alone changes nothing
  send_text("still there");
  EXPECT_EQ(end->got, "still there");

  driver.device.pause();
  driver.device.reset();
  ASSERT_TRUE(driver.device.load(record));
  driver.device.resume();
  EXPECT_TRUE(end->destroyed);
  const auto used = driver.ring(event).take_used();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, 4u);
  EXPECT_EQ(load<u32>(driver.memory.at(kIn + 0x8000, 4)), EVENT_TRANSPORT_RESET);
}

TEST_F(VsockTest, TheNewsOfARestoreWaitsForABuffer) {
  driver.device.pause();
  const auto record = driver.device.save();
  ASSERT_TRUE(driver.device.load(record));
  driver.device.resume();
  driver.device.pause();
  const auto again = driver.device.save();
  ASSERT_TRUE(driver.device.load(again));
  EXPECT_EQ(driver.device.save().bytes, again.bytes);
  driver.device.resume();
  driver.ring(event).add({{kIn, 4, true}});
  driver.notify_if_wanted(event);
  EXPECT_TRUE(driver.ring(event).take_used());
}

}  // namespace
}  // namespace vireo::virtio
