#include "cli/net_option.h"

#include <gtest/gtest.h>

namespace vireo::cli {
namespace {

TEST(NetOption, IsUserModeWithForwards) {
  const auto net = parse_net(
      "user,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::53-:53,restrict,ipv6=off,net=10.1.0.0/16,"
      "hostname=box,mac=52:54:00:AB:cd:01,mtu=9000");
  ASSERT_TRUE(net && *net) << net.error().message;
  EXPECT_EQ((*net)->kind, vmm::NetKind::User);
  EXPECT_EQ((*net)->user.forwards.size(), 2u);
  EXPECT_TRUE((*net)->user.restrict_guest);
  EXPECT_FALSE((*net)->user.ipv6);
  EXPECT_EQ((*net)->user.network, "10.1.0.0/16");
  EXPECT_EQ((*net)->mac, (std::array<u8, 6>{0x52, 0x54, 0, 0xAB, 0xCD, 1}));
  EXPECT_EQ((*net)->mtu, 9000);
}

TEST(NetOption, IsNoneOrOneOfTheOtherKinds) {
  EXPECT_FALSE(*parse_net("none"));
  EXPECT_EQ((*parse_net("tap,ifname=tap0"))->tap.ifname, "tap0");
  EXPECT_EQ((*parse_net("tap,fd=7"))->tap.fd, 7);
  EXPECT_EQ((*parse_net("socket,listen=127.0.0.1:1234"))->socket.wire, net::Wire::Listen);
  EXPECT_EQ((*parse_net("socket,connect=unix:/run/wire"))->socket.wire, net::Wire::Connect);
  EXPECT_EQ((*parse_net("socket,datagram=127.0.0.1:1,local=127.0.0.1:2"))->socket.wire, net::Wire::Datagram);
}

TEST(NetOption, ThatIsWrongNamesWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "empty"},
      {"bridge", "bridge"},
      {"none,mac=52:54:00:00:00:01", "none"},
      {"user,ifname=tap0", "ifname=tap0"},
      {"user,hostfwd=tcp:22", "tcp:22"},
      {"user,hostfwd", "hostfwd"},
      {"user,mac=53:54:00:12:34:56", "mac=53"},
      {"user,mac=52:54:00:12:34", "mac="},
      {"user,mac=52:54:00:12:34:5g", "mac="},
      {"user,mac=00:00:00:00:00:00", "mac="},
      {"user,mtu=100", "1280"},
      {"user,mtu=70000", "65520"},
      {"user,ipv6=maybe", "maybe"},
      {"user,net=10.0.2.0", "10.0.2.0"},
      {"user,hostname=a_b", "a_b"},
      {"tap,ifname=averylonginterfacename", "averylong"},
      {"tap,fd=-1", "fd=-1"},
      {"socket", "listen="},
      {"socket,listen=:1,connect=:2", "one of"},
      {"socket,datagram=127.0.0.1:1", "local="},
      {"socket,listen=:1,local=:2", "local="},
      {"socket,listen=nowhere", "nowhere"},
  };
  for (const auto& [text, wanted] : cases) {
    const auto net = parse_net(text);
    ASSERT_FALSE(net) << text;
    EXPECT_EQ(net.error().kind, ErrorKind::Usage) << text;
    EXPECT_NE(net.error().message.find(wanted), std::string::npos) << text << ": " << net.error().message;
  }
}

}  // namespace
}  // namespace vireo::cli
