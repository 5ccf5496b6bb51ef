#include <gtest/gtest.h>

#include <numeric>

#include "net/offload/segment.h"
#include "unit/net/frames.h"

using namespace vireo;
using namespace vireo::test;

namespace {

Bytes numbered(std::size_t size) {
  Bytes bytes(size);
  std::iota(bytes.begin(), bytes.end(), u8{0});
  return bytes;
}

std::vector<Bytes> collect(const std::function<bool(const net::FrameSink&)>& cut) {
  std::vector<Bytes> frames;
  EXPECT_TRUE(cut([&](std::span<const u8> frame) { frames.emplace_back(frame.begin(), frame.end()); }));
  return frames;
}

const Bytes kMss1460 = {2, 4, 0x05, 0xB4};

u16 mss_of(const Bytes& frame, std::size_t at) { return net::get16(frame, at); }

}  // namespace

TEST(Checksum, of_the_example_in_rfc_1071_is_the_one_given_there) {
  const Bytes bytes = {0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7};
  EXPECT_EQ(__builtin_bswap16(net::internet_sum(bytes)), 0xDDF2);
}

TEST(Checksum, pads_an_odd_byte_with_zero) {
  EXPECT_EQ(net::internet_sum(Bytes{1, 2, 3}), net::internet_sum(Bytes{1, 2, 3, 0}));
  EXPECT_EQ(net::internet_sum(Bytes{1, 2, 3, 4, 5}), net::internet_sum(Bytes{1, 2, 3, 4, 5, 0}));
}

TEST(Checksum, is_finished_from_the_pseudo_headers_sum) {
  auto frame = ipv4_frame(net::kProtocolTcp, 1, 2, tcp_header(80, 81, 1, 2, 0x10) + numbered(101));
  const auto ip = *net::find_ip(frame);
  store(frame.data() + ip.transport + 16, net::pseudo_header_sum(frame, ip, ip.end - ip.transport));
  net::VirtioNetHdr header{.flags = net::VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
  ASSERT_TRUE(net::finish_checksum(header, frame));
  EXPECT_EQ(header.flags, 0);
  EXPECT_TRUE(checksum_is_right(frame));
}

TEST(Checksum, that_would_be_outside_the_frame_is_refused) {
  auto frame = udp_frame({1, 2}, {3, 4}, numbered(10));
  const auto before = frame;
  for (const auto& [start, offset] :
       std::vector<std::pair<u16, u16>>{{0xFFFF, 0}, {0, 0xFFFF}, {0xFFFF, 0xFFFF}, {0, 51}}) {
    net::VirtioNetHdr header{.flags = net::VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = start, .csum_offset = offset};
    EXPECT_FALSE(net::finish_checksum(header, frame));
    EXPECT_EQ(frame, before);
  }
}

TEST(Segments, carry_all_bytes_in_order_with_right_checksums) {
  for (const bool v6 : {false, true}) {
    const auto payload = numbered(3333);
    const auto segment =
        tcp_header(80, 81, 0xFFFFFF00, 7, 0x10 | net::tcp::kPsh | net::tcp::kFin | net::tcp::kCwr) + payload;
    const auto frame = v6 ? ipv6_frame(net::kProtocolTcp, segment) : ipv4_frame(net::kProtocolTcp, 1, 2, segment);
    const auto parts = collect([&](const auto& sink) { return net::segment_tcp(frame, 1000, sink); });
    ASSERT_EQ(parts.size(), 4u);
    Bytes all;
    u32 sequence = 0xFFFFFF00;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto tcp = net::find_tcp(parts[i]);
      ASSERT_TRUE(tcp);
      EXPECT_TRUE(checksum_is_right(parts[i]));
      EXPECT_EQ(net::get32(parts[i], tcp->ip.transport + 4), sequence);
      EXPECT_EQ(parts[i][tcp->ip.transport + 13], i == 0   ? 0x10 | net::tcp::kCwr
                                                  : i == 3 ? 0x10 | net::tcp::kPsh | net::tcp::kFin
                                                           : 0x10);
      if (!v6) {
        EXPECT_EQ(net::get16(parts[i], 18), 0x1234 + i);
      }
      all.insert(all.end(), parts[i].begin() + static_cast<std::ptrdiff_t>(tcp->payload), parts[i].end());
      sequence += 1000;
    }
    EXPECT_EQ(all, payload);
  }
}

TEST(Segments, of_what_is_not_tcp_or_of_no_size_are_none) {
  const auto sink = [](std::span<const u8>) { FAIL(); };
  const auto tcp = ipv4_frame(net::kProtocolTcp, 1, 2, tcp_header(80, 81, 1, 2, 0x10) + numbered(10));
  EXPECT_FALSE(net::segment_tcp(tcp, 0, sink));
  EXPECT_FALSE(net::segment_tcp(udp_frame({1, 2}, {3, 4}, {}), 100, sink));
  for (std::size_t size = 0; size < 54; ++size) {
    EXPECT_FALSE(net::segment_tcp(std::span(tcp).first(size), 100, sink));
  }
}

TEST(Finish, refuses_a_kind_of_segment_that_was_not_offered) {
  auto frame = udp_frame({1, 2}, {3, 4}, numbered(10));
  EXPECT_FALSE(net::finish({.gso_type = 3, .gso_size = 100}, frame, [](std::span<const u8>) { FAIL(); }));
}

TEST(Fragments, of_a_datagram_fit_the_link_and_hold_all_of_it) {
  const auto frame = udp_frame({1, 2}, {3, 4}, numbered(5000));
  const auto parts = collect([&](const auto& sink) { return net::fragment_ipv4(frame, 1500, sink); });
  ASSERT_EQ(parts.size(), 4u);
  Bytes all(frame.begin(), frame.begin() + 34);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    EXPECT_LE(parts[i].size(), 1514u);
    EXPECT_EQ(net::internet_sum(std::span<const u8>(parts[i]).subspan(14, 20)), 0xFFFF);
    const u16 place = net::get16(parts[i], 20);
    EXPECT_EQ((place & 0x1FFF) * 8u, all.size() - 34);
    EXPECT_EQ((place & 0x2000) != 0, i + 1 < parts.size());
    all.insert(all.end(), parts[i].begin() + 34, parts[i].end());
  }
  EXPECT_EQ(Bytes(all.begin() + 34, all.end()), Bytes(frame.begin() + 34, frame.end()));
}

TEST(MaximumSegmentSize, of_a_syn_is_raised_with_its_checksum) {
  for (const auto& options : {kMss1460, Bytes{1} + kMss1460 + Bytes{1, 0, 0}, Bytes{4, 2} + kMss1460 + Bytes{0, 0}}) {
    auto frame = ipv4_frame(net::kProtocolTcp, 1, 2, tcp_header(80, 81, 1, 0, net::tcp::kSyn, options));
    fill_checksum(frame);
    net::raise_mss(frame, 16384);
    const auto at = 54 + static_cast<std::size_t>(std::find(options.begin(), options.end(), 0x05) - options.begin());
    EXPECT_EQ(mss_of(frame, at), 16384);
    EXPECT_TRUE(checksum_is_right(frame));
  }
}

TEST(MaximumSegmentSize, is_left_alone_when_it_is_larger_or_it_is_no_syn_or_the_options_are_bad) {
  const auto unchanged = [](Bytes frame) {
    const auto before = frame;
    net::raise_mss(frame, 16384);
    EXPECT_EQ(frame, before);
  };
  unchanged(ipv4_frame(net::kProtocolTcp, 1, 2, tcp_header(80, 81, 1, 0, net::tcp::kSyn, {2, 4, 0x60, 0})));
  unchanged(ipv4_frame(net::kProtocolTcp, 1, 2, tcp_header(80, 81, 1, 0, 0x10, kMss1460)));
  for (const auto& options : {Bytes{2, 0, 5, 0xB4}, Bytes{3, 1, 2, 4}, Bytes{0, 4, 5, 0xB4}, Bytes{1, 1, 1, 2}}) {
    unchanged(ipv4_frame(net::kProtocolTcp, 1, 2, tcp_header(80, 81, 1, 0, net::tcp::kSyn, options)));
  }
}
