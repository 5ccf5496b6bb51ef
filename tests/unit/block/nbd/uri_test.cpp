#include "block/nbd/uri.h"

#include <gtest/gtest.h>

namespace vireo::block::nbd {
namespace {

TEST(AnNbdUri, NamesHostPortAndExport) {
  const auto uri = parse_uri("nbd://server.example:1234/some%20disk");
  ASSERT_TRUE(uri) << uri.error().message;
  EXPECT_EQ(uri->host, "server.example");
  EXPECT_EQ(uri->port, 1234);
  EXPECT_EQ(uri->export_name, "some disk");
  EXPECT_FALSE(uri->tls);
}

TEST(AnNbdUri, HasADefaultPortAndADefaultExport) {
  for (const char* text : {"nbd://server", "nbd://server/", "nbd://server:/"}) {
    const auto uri = parse_uri(text);
    ASSERT_TRUE(uri) << text;
    EXPECT_EQ(uri->port, 10809);
    EXPECT_EQ(uri->export_name, "");
  }
}

TEST(AnNbdUri, TakesNumbersOfIPv6InBrackets) {
  const auto uri = parse_uri("nbds://[::1]:7/a/b");
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->host, "::1");
  EXPECT_EQ(uri->port, 7);
  EXPECT_EQ(uri->export_name, "a/b");
  EXPECT_EQ(uri->peer_name, "::1");
  EXPECT_TRUE(uri->tls);
  EXPECT_TRUE(uri->verify);
}

TEST(AnNbdUri, NamesAUnixSocketAndWhatTlsNeeds) {
  const auto uri =
      parse_uri("nbds+unix:///disk?socket=/run/a%3db&tls-hostname=x&tls-certificates=/pki&tls-verify-peer=false");
  ASSERT_TRUE(uri) << uri.error().message;
  EXPECT_EQ(uri->socket, "/run/a=b");
  EXPECT_EQ(uri->export_name, "disk");
  EXPECT_EQ(uri->peer_name, "x");
  EXPECT_EQ(uri->certificates, "/pki");
  EXPECT_FALSE(uri->verify);
}

TEST(AnNbdUri, IsRefusedWhereItIsNotUnderstood) {
  for (const char* text : {"nbd:/x", "nbd://", "nbd:///x", "nbd://user@host/", "nbd://host:0/", "nbd://host:65536/",
                           "nbd://host:1x/", "nbd://[::1/", "nbd://[::1]x/", "nbd://host/%zz", "nbd://host/%0",
                           "nbd://host/%00", "nbd://host/?socket=/x", "nbd://host/?tls-hostname=x",
                           "nbds://host/?tls-verify-peer=no", "nbds://host/?tls-certificates=", "nbd+unix:///x",
                           "nbd+unix://host/x?socket=/y", "nbds+unix:///x?sockets=/y"}) {
    const auto uri = parse_uri(text);
    ASSERT_FALSE(uri) << text;
    EXPECT_EQ(uri.error().kind, ErrorKind::Usage);
  }
}

TEST(AnNbdUri, IsToldFromTheNameOfAFile) {
  EXPECT_TRUE(is_uri("nbd+unix:///?socket=/x"));
  EXPECT_FALSE(is_uri("nbd"));
  EXPECT_FALSE(is_uri("./nbd://x"));
}

}  // namespace
}  // namespace vireo::block::nbd
