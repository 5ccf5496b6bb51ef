#include "net/tap/tap.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "host/fd.h"
#include "unit/net/frames.h"

using namespace vireo;
using namespace vireo::test;

namespace {

constexpr const char* kName = "vireotest0";
constexpr u32 kHost = ipv4(10, 99, 77, 1), kGuest = ipv4(10, 99, 77, 2);

/// The interface gets kHost and comes up.
bool bring_up(const char* name) {
  const host::Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  auto& address = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(kHost);
  if (::ioctl(fd.get(), SIOCSIFADDR, &request) != 0) return false;
  address.sin_addr.s_addr = htonl(0xFFFFFF00);
  if (::ioctl(fd.get(), SIOCSIFNETMASK, &request) != 0) return false;
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0;
}

}  // namespace

TEST(Tap, refuses_a_descriptor_that_is_none) {
  const auto thread = *net::NetThread::create();
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const host::Fd read_end(pipe[0]), write_end(pipe[1]);
  for (const int fd : {pipe[0], 1'000'000}) {
    const auto backend = net::make_tap_backend(*thread, {.ifname = {}, .fd = fd});
    ASSERT_FALSE(backend);
    EXPECT_EQ(backend.error().kind, ErrorKind::Usage);
  }
}

TEST(Tap, carries_frames_between_the_host_and_a_guest) {
  const auto thread = *net::NetThread::create();
  auto made = net::make_tap_backend(*thread, {.ifname = kName, .fd = -1});
  if (!made) GTEST_SKIP() << made.error().message;
  FakePort port;
  (*made)->attach(port);
  (*made)->set_receive_offloads({.checksum = true});
  ASSERT_TRUE(bring_up(kName));
  thread->start();

  const host::Fd server(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in here{.sin_family = AF_INET, .sin_port = htons(4711), .sin_addr = {htonl(kHost)}, .sin_zero = {}};
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&here), sizeof here), 0);
  const timeval patience{.tv_sec = 5, .tv_usec = 0};
  ::setsockopt(server.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);

  // The host asks who the guest is, for it has something to send.
  sockaddr_in guest{.sin_family = AF_INET, .sin_port = htons(1000), .sin_addr = {htonl(kGuest)}, .sin_zero = {}};
  ASSERT_EQ(::sendto(server.get(), "hello", 5, 0, reinterpret_cast<sockaddr*>(&guest), sizeof guest), 5);
  const auto question = port.wait_for([](const auto& f) { return f.bytes[12] == 8 && f.bytes[13] == 6; });
  ASSERT_TRUE(question);
  Bytes answer(42);
  const auto& asked = question->bytes;
  std::copy_n(asked.begin() + 6, 6, answer.begin());
  const u8 mac[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
  std::copy_n(mac, 6, answer.begin() + 6);
  std::copy_n(asked.begin() + 12, 8, answer.begin() + 12);
  answer[21] = 2;
  std::copy_n(mac, 6, answer.begin() + 22);
  net::put32(answer, 28, kGuest);
  std::copy_n(asked.begin() + 22, 10, answer.begin() + 32);
  EXPECT_EQ(send(**made, answer), 1u);

  const auto datagram = port.wait_for([](const auto& f) {
    const auto ip = net::find_ip(f.bytes);
    return ip && ip->protocol == net::kProtocolUdp && net::get16(f.bytes, ip->transport + 2) == 1000;
  });
  ASSERT_TRUE(datagram);
  EXPECT_EQ(datagram->header.flags & net::VIRTIO_NET_HDR_F_NEEDS_CSUM, 1) << "the guest said it takes such";

  auto reply = udp_frame({kGuest, 1000}, {kHost, 4711}, {'o', 'k'});
  std::copy_n(datagram->bytes.begin() + 6, 6, reply.begin());
  const auto ip = *net::find_ip(reply);
  store(reply.data() + ip.transport + 6, net::pseudo_header_sum(reply, ip, ip.end - ip.transport));
  EXPECT_EQ(send(**made, reply, {.flags = net::VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6}), 1u);
  char bytes[10];
  EXPECT_EQ(::recv(server.get(), bytes, sizeof bytes, 0), 2);
  thread->stop();
}
