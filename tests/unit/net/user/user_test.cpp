#include "net/user/user.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "unit/net/frames.h"

using namespace vireo;
using namespace vireo::test;

namespace {

constexpr u32 kGuest = ipv4(10, 0, 2, 15), kHost = ipv4(10, 0, 2, 2);

/// A socket on 127.0.0.1 with a port of the kernel's choice; five seconds' patience.
struct HostSocket {
  explicit HostSocket(int type) : fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  host::Fd fd;
  u16 port = 0;
};

sockaddr_in loopback(u16 port) {
  return {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
}

struct UserTest : testing::Test {
  void start(net::UserOptions options = {}) {
    thread = *net::NetThread::create();
    auto made = net::User::create(*thread, options);
    ASSERT_TRUE(made) << made.error().message;
    user = std::move(*made);
    user->attach(port);
    thread->start();
    // Who the guest is: a gratuitous ARP request.
    Bytes arp = {0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15};
    send(*user, ethernet(0x0806, arp));
  }
  void TearDown() override {
    if (thread) thread->stop();
    user.reset();
  }
  Bytes tcp(u16 from, u16 to, u32 sequence, u32 acknowledged, u8 flags, const Bytes& rest = {},
            const Bytes& options = {}) {
    auto frame = ipv4_frame(net::kProtocolTcp, kGuest, kHost,
                            tcp_header(from, to, sequence, acknowledged, flags, options) + rest);
    fill_checksum(frame);
    return frame;
  }
  static bool is_tcp(const FakePort::Received& frame) { return net::find_tcp(frame.bytes).has_value(); }
  static std::span<const u8> tcp_payload(const FakePort::Received& frame) {
    const auto packet = net::find_tcp(frame.bytes);
    return std::span(frame.bytes).subspan(packet->payload, packet->ip.end - packet->payload);
  }

  std::unique_ptr<net::NetThread> thread;
  std::unique_ptr<net::User> user;
  FakePort port;
};

const Bytes kMss1460 = {2, 4, 0x05, 0xB4};

}  // namespace

TEST(UserOptions, with_a_network_that_cannot_be_are_refused) {
  for (const char* network : {"", "10.0.2.0", "10.0.2.0/28", "10.0.2.0/7", "10.0.2.1/24", "x/24", "10.0.2.0/24x"}) {
    net::UserOptions options;
    options.network = network;
    EXPECT_FALSE(net::check(options)) << network;
  }
  net::UserOptions options;
  options.network = "192.168.32.0/20";
  EXPECT_TRUE(net::check(options));
}

TEST(Forward, is_read_and_written_in_the_same_words) {
  for (const char* text : {"tcp:127.0.0.1:2222-:22", "udp::53-10.0.2.20:53", "tcp:[::1]:80-[fec0::15]:8080"}) {
    const auto forward = net::parse_forward(text);
    ASSERT_TRUE(forward) << forward.error().message;
    EXPECT_EQ(net::to_string(*forward), text);
  }
}

TEST(Forward, that_makes_no_sense_is_a_usage_error) {
  for (const char* text : {"", "tcp", "tcp:", "tcp:127.0.0.1:2222", "sctp::1-:1", "tcp::0-:22", "tcp::22-:65536",
                           "tcp::22-:", "tcp:localhost:22-:22", "tcp:[::1:22-:22", "tcp:1.2.3:4-:5", "tcp::22x-:22"}) {
    const auto forward = net::parse_forward(text);
    ASSERT_FALSE(forward) << text;
    EXPECT_EQ(forward.error().kind, ErrorKind::Usage);
  }
}

TEST_F(UserTest, answers_dhcp_with_the_first_address) {
  start();
  Bytes message(244);
  message[0] = 1;
  message[1] = 1;
  message[2] = 6;
  message[4] = 0x42;
  constexpr std::array<u8, 6> hardware = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
  constexpr std::array<u8, 4> cookie = {99, 130, 83, 99};
  std::copy(hardware.begin(), hardware.end(), message.begin() + 28);
  std::copy(cookie.begin(), cookie.end(), message.begin() + 236);
  constexpr std::array<u8, 4> discover = {53, 1, 1, 255};
  std::copy(discover.begin(), discover.end(), message.begin() + 240);
  send(*user, udp_frame({0, 68}, {ipv4(255, 255, 255, 255), 67}, message));
  const auto offer = port.wait_for([](const auto& frame) {
    const auto ip = net::find_ip(frame.bytes);
    return ip && ip->protocol == net::kProtocolUdp && net::get16(frame.bytes, ip->transport + 2) == 68;
  });
  ASSERT_TRUE(offer);
  EXPECT_EQ(net::get32(offer->bytes, 14 + 20 + 8 + 16), kGuest);
}

TEST_F(UserTest, carries_datagrams_to_the_host_and_back) {
  start();
  const HostSocket server(SOCK_DGRAM);
  send(*user, udp_frame({kGuest, 1000}, {kHost, server.port}, {'p', 'i', 'n', 'g'}));
  u8 bytes[100];
  sockaddr_in from{};
  socklen_t size = sizeof from;
  ASSERT_EQ(::recvfrom(server.fd.get(), bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size), 4);
  ASSERT_EQ(::sendto(server.fd.get(), "pong!", 5, 0, reinterpret_cast<sockaddr*>(&from), size), 5);
  const auto answer = port.wait_for([](const auto& frame) {
    const auto ip = net::find_ip(frame.bytes);
    return ip && ip->protocol == net::kProtocolUdp && net::get16(frame.bytes, ip->transport + 2) == 1000;
  });
  ASSERT_TRUE(answer);
  const std::string_view text(reinterpret_cast<const char*>(answer->bytes.data()), answer->bytes.size());
  EXPECT_TRUE(text.ends_with("pong!"));
}

TEST_F(UserTest, finishes_a_checksum_that_the_guest_left_to_it) {
  start();
  const HostSocket server(SOCK_DGRAM);
  auto frame = udp_frame({kGuest, 1000}, {kHost, server.port}, {'p', 'i', 'n', 'g'});
  const auto ip = *net::find_ip(frame);
  store(frame.data() + ip.transport + 6, net::pseudo_header_sum(frame, ip, ip.end - ip.transport));
  send(*user, frame, {.flags = net::VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6});
  u8 bytes[100];
  EXPECT_EQ(::recv(server.fd.get(), bytes, sizeof bytes, 0), 4);
}

TEST_F(UserTest, cuts_a_large_datagram_for_the_guest_into_fragments) {
  start();
  const HostSocket server(SOCK_DGRAM);
  send(*user, udp_frame({kGuest, 1000}, {kHost, server.port}, {'?'}));
  Bytes bytes(5000);
  sockaddr_in from{};
  socklen_t size = sizeof from;
  ASSERT_EQ(::recvfrom(server.fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size), 1);
  ::sendto(server.fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
  const auto last = port.wait_for([](const auto& frame) {
    EXPECT_LE(frame.bytes.size(), 1514u);
    return frame.bytes[12] == 8 && frame.bytes[13] == 0 && (net::get16(frame.bytes, 20) & 0x3FFF) == 4440 / 8;
  });
  ASSERT_TRUE(last);
  EXPECT_EQ(last->bytes.size(), 14 + 20 + 8 + 5000 - 4440u);
}

struct UserTcp : UserTest {
  void connect(net::Offloads offloads) {
    start();
    user->set_receive_offloads(offloads);
    ASSERT_EQ(::listen(server.fd.get(), 1), 0);
    // As Linux sends it: with the pseudo-header's sum for a checksum.
    auto syn = tcp(1000, server.port, 100, 0, net::tcp::kSyn, {}, kMss1460);
    const auto ip = *net::find_ip(syn);
    store(syn.data() + ip.transport + 16, net::pseudo_header_sum(syn, ip, ip.end - ip.transport));
    send(*user, syn, {.flags = net::VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16});
    const auto answer = port.wait_for(is_tcp);
    ASSERT_TRUE(answer);
    sequence = net::get32(answer->bytes, 34 + 4) + 1;
    send(*user, tcp(1000, server.port, 101, sequence, 0x10));
    connection = host::Fd(::accept4(server.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(connection);
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  HostSocket server{SOCK_STREAM};
  host::Fd connection;
  u32 sequence = 0;
};

TEST_F(UserTcp, takes_a_segment_of_64_kib_at_once) {
  connect({});
  Bytes payload(60'000);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<u8>(i / 251);
  auto frame = tcp(1000, server.port, 101, sequence, 0x18, payload);
  const auto ip = *net::find_ip(frame);
  store(frame.data() + ip.transport + 16, net::pseudo_header_sum(frame, ip, ip.end - ip.transport));
  send(*user, frame,
       {.flags = net::VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = net::VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = 54,
        .gso_size = 1460,
        .csum_start = 34,
        .csum_offset = 16});
  Bytes got(payload.size());
  ASSERT_EQ(::recv(connection.get(), got.data(), got.size(), MSG_WAITALL), static_cast<ssize_t>(got.size()));
  EXPECT_EQ(got, payload);
}

TEST_F(UserTcp, gives_large_segments_to_a_guest_that_takes_them) {
  connect({.checksum = true, .tso4 = true});
  const Bytes payload(10'000, 0x5A);
  ASSERT_EQ(::send(connection.get(), payload.data(), payload.size(), 0), 10'000);
  const auto frame = port.wait_for([](const auto& f) { return is_tcp(f) && !tcp_payload(f).empty(); });
  ASSERT_TRUE(frame);
  EXPECT_TRUE(std::ranges::equal(tcp_payload(*frame), payload));
  EXPECT_EQ(frame->header.gso_type, net::VIRTIO_NET_HDR_GSO_TCPV4);
  EXPECT_EQ(frame->header.gso_size, 1460);
  EXPECT_EQ(frame->header.flags, net::VIRTIO_NET_HDR_F_NEEDS_CSUM);
  auto header = frame->header;
  auto bytes = frame->bytes;
  ASSERT_TRUE(net::finish_checksum(header, bytes));
  EXPECT_TRUE(checksum_is_right(bytes));
}

TEST_F(UserTcp, gives_segments_of_the_links_size_to_a_guest_that_takes_no_other) {
  connect({});
  const Bytes payload(2000, 0x5A);
  ASSERT_EQ(::send(connection.get(), payload.data(), payload.size(), 0), 2000);
  const auto frame = port.wait_for([](const auto& f) { return is_tcp(f) && !tcp_payload(f).empty(); });
  ASSERT_TRUE(frame);
  EXPECT_LE(frame->bytes.size(), 1514u);
  EXPECT_EQ(frame->header.gso_type, 0);
  EXPECT_TRUE(checksum_is_right(frame->bytes));
}

TEST_F(UserTcp, cuts_what_is_too_large_for_a_guest_that_takes_large_segments_no_more) {
  connect({.checksum = true, .tso4 = true});
  user->set_receive_offloads({});
  const Bytes payload(10'000, 0x5A);
  ASSERT_EQ(::send(connection.get(), payload.data(), payload.size(), 0), 10'000);
  std::size_t got = 0;
  EXPECT_TRUE(port.wait_for([&](const auto& f) {
    if (!is_tcp(f)) return false;
    EXPECT_LE(f.bytes.size(), 1514u);
    EXPECT_TRUE(checksum_is_right(f.bytes));
    return (got += tcp_payload(f).size()) == payload.size();
  }));
}

TEST_F(UserTcp, stops_reading_from_the_host_while_the_guest_has_no_buffers_and_loses_nothing) {
  connect({.checksum = true, .tso4 = true});
  port.give_room(0);
  const Bytes payload(20'000, 0x5A);
  ASSERT_EQ(::send(connection.get(), payload.data(), payload.size(), 0), 20'000);
  ASSERT_TRUE(port.wait_until([&] { return port.refused > 0; }));
  port.give_room(100);
  user->wake();
  std::size_t got = 0;
  EXPECT_TRUE(port.wait_for([&](const auto& f) {
    if (is_tcp(f) && !tcp_payload(f).empty()) {
      got += tcp_payload(f).size();
      send(*user, tcp(1000, server.port, 101, sequence + static_cast<u32>(got), 0x10));
    }
    return got == payload.size();
  }));
}

TEST_F(UserTest, forwards_a_port_that_is_added_while_it_runs_until_it_is_removed) {
  start();
  u16 port_number = 0;
  {
    const HostSocket free(SOCK_DGRAM);
    port_number = free.port;
  }
  const auto forward = *net::parse_forward(fmt::format("udp:127.0.0.1:{}-:7", port_number));
  ASSERT_TRUE(user->add_forward(forward));
  EXPECT_FALSE(user->add_forward(forward)) << "somebody listens there";

  const HostSocket client(SOCK_DGRAM);
  const auto to = loopback(port_number);
  ::sendto(client.fd.get(), "hello", 5, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  const auto request = port.wait_for([](const auto& frame) {
    const auto ip = net::find_ip(frame.bytes);
    return ip && ip->protocol == net::kProtocolUdp && net::get16(frame.bytes, ip->transport + 2) == 7;
  });
  ASSERT_TRUE(request);
  send(*user, udp_frame({kGuest, 7}, {net::get32(request->bytes, 26), net::get16(request->bytes, 34)}, {'o', 'k'}));
  u8 bytes[10];
  EXPECT_EQ(::recv(client.fd.get(), bytes, sizeof bytes, 0), 2);

  EXPECT_TRUE(user->remove_forward(forward));
  const auto again = user->remove_forward(forward);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, ErrorKind::NotFound);
}

TEST_F(UserTest, calls_the_port_when_it_is_woken_but_not_once_it_has_left) {
  start();
  user->wake();
  ASSERT_TRUE(port.wait_until([&] { return port.served == 1; }));
  user->detach();
  user->wake();
  ::usleep(20'000);
  EXPECT_EQ(port.served, 1u);
}

TEST_F(UserTest, saves_its_state_and_refuses_another_ones) {
  start();
  auto state = user->save();
  EXPECT_TRUE(user->load(state));
  auto longer = state;
  longer.push_back(0);
  EXPECT_FALSE(user->load(longer));
  EXPECT_FALSE(user->load(std::span(state).first(state.size() - 1)));
  EXPECT_TRUE(user->load({})) << "the state of a back end that has none";
  state[4] = 42;  // a connection
  EXPECT_FALSE(user->load(state));
}
