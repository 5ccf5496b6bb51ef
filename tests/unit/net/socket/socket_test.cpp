#include "net/socket/socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "net/socket/framing.h"
#include "unit/net/frames.h"

using namespace vireo;
using namespace vireo::test;

namespace {

/// Two ends of a wire.
struct SocketTest : testing::Test {
  SocketTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "wire.XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    thread->start();
  }
  ~SocketTest() override {
    thread->stop();
    left.reset();
    right.reset();
    std::filesystem::remove_all(folder);
  }
  std::unique_ptr<net::Backend> make(net::Wire wire, const std::string& address, FakePort& port,
                                     const std::string& local = {}) {
    net::SocketOptions options{.wire = wire, .address = *net::SocketAddress::parse(address), .local = {}};
    if (!local.empty()) options.local = *net::SocketAddress::parse(local);
    auto backend = net::make_socket_backend(*thread, options);
    EXPECT_TRUE(backend) << backend.error().message;
    if (!backend) return nullptr;
    (*backend)->attach(port);
    return std::move(*backend);
  }
  std::string path(const char* name) const { return "unix:" + (folder / name).string(); }
  void connect() {
    left = make(net::Wire::Listen, path("wire"), left_port);
    EXPECT_FALSE(left->link_up());
    right = make(net::Wire::Connect, path("wire"), right_port);
    ASSERT_TRUE(left_port.wait_until([&] { return left_port.links.size() == 1; }));
    EXPECT_TRUE(left->link_up());
    EXPECT_TRUE(right->link_up());
  }

  std::filesystem::path folder;
  std::unique_ptr<net::NetThread> thread = *net::NetThread::create();
  FakePort left_port, right_port;
  std::unique_ptr<net::Backend> left, right;
};

const auto kAny = [](const auto&) { return true; };

}  // namespace

TEST(SocketAddress, is_numbers_or_a_path) {
  for (const char* text : {"127.0.0.1:1", ":65535", "[::1]:80", "unix:/run/x"}) {
    EXPECT_TRUE(net::SocketAddress::parse(text)) << text;
  }
  for (const char* text :
       {"", "1", "localhost:1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:123456", "127.0.0.1:x", "unix:"}) {
    const auto address = net::SocketAddress::parse(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().kind, ErrorKind::Usage);
  }
  EXPECT_FALSE(net::SocketAddress::parse("unix:" + std::string(200, 'x')));
}

TEST_F(SocketTest, carries_frames_both_ways) {
  connect();
  const auto frame = udp_frame({1, 2}, {3, 4}, Bytes(1000, 7));
  EXPECT_EQ(send(*left, frame), 1u);
  EXPECT_EQ(send(*right, ethernet(0x0806, Bytes(28, 9))), 1u);
  EXPECT_EQ(right_port.wait_for(kAny)->bytes, frame);
  EXPECT_EQ(left_port.wait_for(kAny)->bytes, ethernet(0x0806, Bytes(28, 9)));
}

TEST_F(SocketTest, finishes_what_a_guest_leaves_to_it) {
  connect();
  const auto frame = ipv4_frame(net::kProtocolTcp, 1, 2, tcp_header(80, 81, 1, 2, 0x10) + Bytes(4000, 7));
  send(*left, frame,
       {.flags = net::VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = net::VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = 54,
        .gso_size = 1460,
        .csum_start = 34,
        .csum_offset = 16});
  for (int i = 0; i < 3; ++i) {
    const auto segment = right_port.wait_for(kAny);
    ASSERT_TRUE(segment);
    EXPECT_TRUE(checksum_is_right(segment->bytes));
    EXPECT_LE(segment->bytes.size(), 1514u);
  }
}

TEST_F(SocketTest, holds_the_sender_back_while_the_receiver_takes_nothing_and_loses_nothing) {
  connect();
  right_port.give_room(0);
  constexpr u32 kFrames = 3000;
  u32 sent = 0;
  const auto send_more = [&] {
    while (sent < kFrames) {
      Bytes frame(1500);
      store(frame.data() + 20, sent);
      if (test::send(*left, frame) == 0) return;
      ++sent;
    }
  };
  send_more();
  EXPECT_LT(sent, kFrames) << "the wire holds no 4.5 MB";
  right_port.give_room(~std::size_t{0});
  right->wake();
  std::size_t served = 0;
  while (sent < kFrames) {
    ASSERT_TRUE(left_port.wait_until([&] { return left_port.served > served; }));
    served = left_port.served;
    send_more();
  }
  for (u32 i = 0; i < kFrames; ++i) {
    const auto frame = right_port.wait_for(kAny);
    ASSERT_TRUE(frame);
    ASSERT_EQ(load<u32>(frame->bytes.data() + 20), i);
  }
}

TEST_F(SocketTest, asks_for_what_it_left_when_the_peer_took_everything_before_it_could_be_waited_for) {
  left = make(net::Wire::Listen, path("wire"), left_port);
  const auto peer = net::connect_to(*net::SocketAddress::parse(path("wire")));
  ASSERT_TRUE(peer);
  ASSERT_TRUE(left_port.wait_until([&] { return left_port.links.size() == 1; }));
  std::promise<void> held, release;
  thread->loop().post([&] {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();  // nobody waits for the peer now
  const Bytes frame(1500);
  constexpr std::size_t kFramed = 4 + 1500;
  std::size_t sent = 0, drained = 0;
  while (send(*left, frame) == 1) sent += kFramed;
  Bytes bytes(64 * kKiB);
  for (;;) {
    ssize_t size;
    while ((size = ::recv(peer->get(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0)
      drained += static_cast<std::size_t>(size);
    if (drained == sent) break;
    ASSERT_EQ(send(*left, frame), 0u);  // but what was held back goes on
  }
  const std::size_t served = left_port.served;
  release.set_value();
  EXPECT_TRUE(left_port.wait_until([&] { return left_port.served > served; }));
}

TEST_F(SocketTest, takes_the_next_peer_when_one_has_gone) {
  connect();
  right.reset();
  ASSERT_TRUE(left_port.wait_until([&] { return left_port.links.size() == 2; }));
  EXPECT_FALSE(left->link_up());
  EXPECT_EQ(send(*left, Bytes(60)), 1u) << "a wire without an end takes everything";
  right = make(net::Wire::Connect, path("wire"), right_port);
  ASSERT_TRUE(left_port.wait_until([&] { return left_port.links.size() == 3; }));
  EXPECT_EQ(send(*right, Bytes(60, 5)), 1u);
  EXPECT_EQ(left_port.wait_for(kAny)->bytes, Bytes(60, 5));
}

TEST_F(SocketTest, hangs_up_on_a_peer_that_sends_nonsense) {
  left = make(net::Wire::Listen, path("wire"), left_port);
  const auto peer = net::connect_to(*net::SocketAddress::parse(path("wire")));
  ASSERT_TRUE(peer);
  ASSERT_TRUE(left_port.wait_until([&] { return left_port.links.size() == 1; }));
  const u8 nonsense[] = {0xFF, 0xFF, 0xFF, 0xFF};
  ASSERT_EQ(::write(peer->get(), nonsense, sizeof nonsense), 4);
  EXPECT_TRUE(left_port.wait_until([&] { return left_port.links.size() == 2; }));
}

TEST_F(SocketTest, carries_frames_in_datagrams) {
  left = make(net::Wire::Datagram, "127.0.0.1:47011", left_port, "127.0.0.1:47012");
  right = make(net::Wire::Datagram, "127.0.0.1:47012", right_port, "127.0.0.1:47011");
  ASSERT_TRUE(left && right);
  EXPECT_EQ(send(*left, Bytes(60, 5)), 1u);
  EXPECT_EQ(right_port.wait_for(kAny)->bytes, Bytes(60, 5));
  EXPECT_EQ(send(*right, Bytes(1514, 6)), 1u);
  EXPECT_EQ(left_port.wait_for(kAny)->bytes, Bytes(1514, 6));
}

TEST_F(SocketTest, says_what_is_wrong_with_an_address_that_is_taken_or_not_there) {
  connect();
  const auto taken = net::listen_at(*net::SocketAddress::parse(path("wire")));
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message.find("wire"), std::string::npos);
  const auto missing = net::connect_to(*net::SocketAddress::parse(path("nowhere")));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::NotFound);
}

TEST_F(SocketTest, puts_a_socket_in_the_place_of_one_that_nobody_listens_at) {
  connect();
  left.reset();
  right.reset();
  EXPECT_TRUE(net::listen_at(*net::SocketAddress::parse(path("wire"))));
}
