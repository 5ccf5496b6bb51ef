#include "virtio/net/net.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/bytes.h"
#include "support/fake_backend.h"
#include "support/virtio_driver.h"

namespace vireo::virtio {
namespace {

using namespace vireo::virtio::net;
using test::VirtioDriver;
using Bytes = std::vector<u8>;

constexpr Mac kMac = {0x52, 0x54, 0, 1, 2, 3};
constexpr u64 kMost = VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX |
                      VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_CTRL_VLAN | VIRTIO_NET_F_CTRL_MAC_ADDR |
                      VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | VIRTIO_NET_F_GUEST_ANNOUNCE | VIRTIO_NET_F_CSUM |
                      VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_STATUS |
                      VIRTIO_NET_F_MAC;
constexpr unsigned kReceive = 0, kTransmit = 1, kControl = 2;

Bytes frame_to(const Mac& mac, std::size_t size) {
  Bytes frame(size);
  std::iota(frame.begin(), frame.end(), u8{1});
  std::copy(mac.begin(), mac.end(), frame.begin());
  frame[12] = 8;
  frame[13] = 0;
  return frame;
}

class NetTest : public testing::TestWithParam<u64> {
 protected:
  NetTest() { begin(kMost); }
  void begin(u64 features) {
    driver.enable();
    driver.start(features | GetParam());
  }
  void add_frame(const Bytes& frame, const vireo::net::VirtioNetHdr& header = {}) {
    const u64 at = VirtioDriver::kData + next_;
    next_ += 0x1000;
    driver.memory.write(at, &header, sizeof header);
    driver.memory.write(at + 0x100, frame.data(), frame.size());
    const u32 half = static_cast<u32>(frame.size() / 2);
    driver.ring(kTransmit).add({{at, 12, false},
                                {at + 0x100, half, false},
                                {at + 0x100 + half, static_cast<u32>(frame.size()) - half, false}});
  }
  u64 add_buffer(u32 size) {
    const u64 at = VirtioDriver::kData + next_;
    next_ += 0x1000;
    driver.ring(kReceive).add({{at, size, true}});
    return at;
  }
  Bytes memory(u64 at, std::size_t size) {
    Bytes bytes(size);
    driver.memory.read(at, bytes.data(), size);
    return bytes;
  }
  u8 command(const Bytes& request) {
    driver.memory.write(kCommand, request.data(), request.size());
    *driver.memory.at(kCommand + 0x800, 1) = 0xEE;
    driver.ring(kControl).add({{kCommand, static_cast<u32>(request.size()), false}, {kCommand + 0x800, 1, true}});
    driver.notify(kControl);
    EXPECT_TRUE(driver.ring(kControl).take_used());
    return *driver.memory.at(kCommand + 0x800, 1);
  }
  /// A frame to `mac` arrives at the driver.
  bool arrives(Bytes frame) {
    add_buffer(2000);
    EXPECT_TRUE(backend.deliver(std::move(frame)));
    return driver.ring(kReceive).take_used().has_value();
  }

  static constexpr u64 kCommand = VirtioDriver::kData + 0xF0000;
  u64 next_ = 0;
  test::FakeBackend backend;
  VirtioDriver driver{std::make_unique<Net>(Net::Setup{.backend = backend, .mac = kMac, .mtu = 9000})};
};

TEST_P(NetTest, sends_frames_with_their_header_and_gives_buffers_back) {
  const auto frame = frame_to(kMac, 99);
  add_frame(frame, {.flags = 1, .gso_type = 1, .hdr_len = 54, .gso_size = 1460, .csum_start = 34, .csum_offset = 16});
  add_frame(frame);
  driver.notify(kTransmit);
  ASSERT_EQ(backend.sent.size(), 2u);
  EXPECT_EQ(backend.sent[0].bytes, frame);
  EXPECT_EQ(backend.sent[0].header.gso_size, 1460);
  EXPECT_EQ(backend.sent[0].header.csum_start, 34);
  EXPECT_TRUE(driver.ring(kTransmit).take_used());
  EXPECT_TRUE(driver.ring(kTransmit).take_used());
}

TEST_P(NetTest, drops_what_is_no_frame_and_goes_on) {
  driver.ring(kTransmit).add({{VirtioDriver::kData, 5, false}});
  driver.ring(kTransmit).add({{VirtioDriver::kData, 12 + 13, false}});
  driver.ring(kTransmit).add({{VirtioDriver::kData, 12 + 70'000, false}});
  add_frame(frame_to(kMac, 60));
  driver.notify(kTransmit);
  EXPECT_EQ(backend.sent.size(), 1u);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(driver.ring(kTransmit).take_used());
  EXPECT_FALSE(driver.needs_reset());
}

TEST_P(NetTest, keeps_frames_that_the_back_end_does_not_take_until_it_does) {
  backend.room = 1;
  for (u8 i = 0; i < 3; ++i) add_frame(frame_to(kMac, 60u + i));
  driver.notify(kTransmit);
  EXPECT_EQ(backend.sent.size(), 1u);
  EXPECT_TRUE(driver.ring(kTransmit).take_used());
  EXPECT_FALSE(driver.ring(kTransmit).take_used());
  backend.room = 100;
  backend.port().serve();
  ASSERT_EQ(backend.sent.size(), 3u);
  for (u8 i = 0; i < 3; ++i) EXPECT_EQ(backend.sent[i].bytes, frame_to(kMac, 60u + i));
  EXPECT_TRUE(driver.ring(kTransmit).take_used());
  EXPECT_TRUE(driver.ring(kTransmit).take_used());
  add_frame(frame_to(kMac, 60));
  EXPECT_TRUE(driver.ring(kTransmit).must_notify()) << "nothing is left, so the driver has to tell";
}

TEST_P(NetTest, receives_a_frame_into_one_buffer) {
  const auto frame = frame_to(kMac, 99);
  const u64 at = add_buffer(2000);
  EXPECT_TRUE(backend.deliver(frame, {.flags = vireo::net::VIRTIO_NET_HDR_F_DATA_VALID}));
  EXPECT_EQ(driver.ring(kReceive).take_used()->written, 12u + 99);
  EXPECT_EQ(memory(at, 12), (Bytes{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}));
  EXPECT_EQ(memory(at + 12, 99), frame);
}

TEST_P(NetTest, spreads_a_large_frame_over_several_buffers) {
  const auto frame = frame_to(kMac, 5000);
  std::vector<u64> buffers;
  for (int i = 0; i < 5; ++i) buffers.push_back(add_buffer(1500));
  EXPECT_TRUE(backend.deliver(frame));
  Bytes all;
  for (const u32 written : {1500u, 1500u, 1500u, 512u}) {
    const auto used = driver.ring(kReceive).take_used();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->written, written);
    const auto part = memory(buffers[all.size() / 1500], written);
    all.insert(all.end(), part.begin(), part.end());
  }
  EXPECT_FALSE(driver.ring(kReceive).take_used());
  EXPECT_EQ(all[10], 4) << "num_buffers";
  EXPECT_EQ(Bytes(all.begin() + 12, all.end()), frame);
}

TEST_P(NetTest, leaves_a_frame_for_which_there_are_too_few_buffers_until_there_are_more) {
  EXPECT_FALSE(backend.deliver(frame_to(kMac, 99)));
  add_buffer(500);
  EXPECT_TRUE(driver.ring(kReceive).must_notify());
  driver.notify(kReceive);
  EXPECT_EQ(backend.wakes, 2u) << "one for the reset at the beginning";
  EXPECT_FALSE(backend.deliver(frame_to(kMac, 900)));
  EXPECT_FALSE(driver.ring(kReceive).take_used());
  add_buffer(500);
  EXPECT_TRUE(driver.ring(kReceive).must_notify()) << "it has to hear of one more buffer than it has seen";
  driver.notify(kReceive);
  EXPECT_EQ(backend.wakes, 3u);
  EXPECT_TRUE(backend.deliver(frame_to(kMac, 900)));
  EXPECT_TRUE(driver.ring(kReceive).take_used());
  EXPECT_TRUE(driver.ring(kReceive).take_used());
}

TEST_P(NetTest, drops_a_frame_that_fits_no_buffer_of_a_driver_that_does_not_merge_them) {
  begin(kMost & ~VIRTIO_NET_F_MRG_RXBUF);
  add_buffer(500);
  add_buffer(500);
  EXPECT_TRUE(backend.deliver(frame_to(kMac, 900)));
  EXPECT_FALSE(driver.ring(kReceive).take_used());
  EXPECT_TRUE(backend.deliver(frame_to(kMac, 400)));
  EXPECT_TRUE(driver.ring(kReceive).take_used());
}

TEST_P(NetTest, takes_and_drops_frames_while_no_driver_listens) {
  driver.device.reset();
  EXPECT_TRUE(backend.deliver(frame_to(kMac, 99)));
}

TEST_P(NetTest, filters_by_address_once_the_driver_says_so) {
  constexpr Mac kOther = {0x52, 0x54, 0, 9, 9, 9}, kGroup = {1, 0, 0x5E, 0, 0, 1};
  constexpr Mac kAll = {255, 255, 255, 255, 255, 255};
  EXPECT_TRUE(arrives(frame_to(kOther, 60)));
  EXPECT_EQ(command({0, rx::PROMISC, 0}), VIRTIO_NET_OK);
  EXPECT_TRUE(arrives(frame_to(kMac, 60)));
  EXPECT_TRUE(arrives(frame_to(kAll, 60)));
  EXPECT_FALSE(arrives(frame_to(kOther, 60)));
  EXPECT_FALSE(arrives(frame_to(kGroup, 60)));

  Bytes table = {1, mac::TABLE_SET, 1, 0, 0, 0};
  table.insert(table.end(), kOther.begin(), kOther.end());
  table.insert(table.end(), {1, 0, 0, 0});
  table.insert(table.end(), kGroup.begin(), kGroup.end());
  EXPECT_EQ(command(table), VIRTIO_NET_OK);
  EXPECT_TRUE(arrives(frame_to(kOther, 60)));
  EXPECT_TRUE(arrives(frame_to(kGroup, 60)));
  EXPECT_EQ(command({0, rx::NOBCAST, 1}), VIRTIO_NET_OK);
  EXPECT_FALSE(arrives(frame_to(kAll, 60)));

  Bytes address = {1, mac::ADDR_SET, 2, 0, 0, 0, 0, 7};
  EXPECT_EQ(command(address), VIRTIO_NET_OK);
  EXPECT_FALSE(arrives(frame_to(kMac, 60)));
  EXPECT_TRUE(arrives(frame_to({2, 0, 0, 0, 0, 7}, 60)));
  EXPECT_EQ(driver.config<u8>(5), 7);
}

TEST_P(NetTest, lets_only_those_vlans_through_that_the_driver_named) {
  auto tagged = frame_to(kMac, 60);
  tagged[12] = 0x81;
  tagged[14] = 0x20;
  tagged[15] = 5;
  EXPECT_FALSE(arrives(tagged));
  EXPECT_EQ(command({2, vlan::ADD, 5, 0}), VIRTIO_NET_OK);
  EXPECT_TRUE(arrives(tagged));
  EXPECT_EQ(command({2, vlan::DEL, 5, 0}), VIRTIO_NET_OK);
  EXPECT_FALSE(arrives(tagged));
}

TEST_P(NetTest, refuses_commands_that_make_no_sense) {
  for (const auto& request : {Bytes{}, Bytes{0}, Bytes{0, 0}, Bytes{0, 9, 1}, Bytes{1, 0, 255, 255, 255, 255, 1, 2, 3},
                              Bytes{1, 1, 2}, Bytes{2, 0, 0, 16}, Bytes{2, 2, 1, 0}, Bytes{3, 1}, Bytes{4, 0, 1, 0},
                              Bytes{5, 0, 1}, Bytes{5, 0, 255, 255, 255, 255, 255, 255, 255, 255}, Bytes{77, 0}}) {
    if (request.empty()) continue;  // no descriptor has that length
    EXPECT_EQ(command(request), VIRTIO_NET_ERR);
  }
  EXPECT_FALSE(driver.needs_reset());
}

TEST_P(NetTest, tells_the_back_end_what_the_driver_takes) {
  EXPECT_EQ(backend.receive_offloads, (vireo::net::Offloads{.checksum = true, .tso4 = true}));
  EXPECT_EQ(command({5, 0, 2, 0, 0, 0, 0, 0, 0, 0}), VIRTIO_NET_OK);
  EXPECT_EQ(backend.receive_offloads, (vireo::net::Offloads{.checksum = true}));
  driver.device.reset();
  EXPECT_EQ(backend.receive_offloads, vireo::net::Offloads{});
}

TEST_P(NetTest, shows_address_link_and_mtu) {
  for (u32 i = 0; i < 6; ++i) EXPECT_EQ(driver.config<u8>(i), kMac[i]);
  EXPECT_EQ(driver.config<u16>(kConfigStatus), VIRTIO_NET_S_LINK_UP);
  EXPECT_EQ(driver.config<u16>(kConfigMtu), 9000);
  backend.up = false;
  driver.msi.take(0x40);
  backend.port().link_changed(false);
  EXPECT_EQ(driver.config<u16>(kConfigStatus), 0);
  EXPECT_EQ(driver.msi.take(0x40), 1u);
}

TEST_P(NetTest, refuses_features_that_need_others) {
  for (const u64 features : {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CTRL_RX}) {
    driver.set_status(0);
    driver.set_status(3);
    driver.set_features(features | feature::VERSION_1);
    driver.set_status(3 | device_status::FEATURES_OK);
    EXPECT_EQ(driver.status() & device_status::FEATURES_OK, 0);
  }
}

TEST_P(NetTest, goes_on_after_a_restore_and_asks_the_guest_to_announce_itself) {
  EXPECT_EQ(command({0, rx::PROMISC, 0}), VIRTIO_NET_OK);
  add_buffer(2000);
  backend.state = {1, 2, 3};
  driver.device.pause();
  const auto record = driver.device.save();
  EXPECT_FALSE(backend.deliver(frame_to(kMac, 60))) << "nothing moves while the machine stands still";
  backend.state.clear();
  ASSERT_TRUE(driver.device.load(record));
  driver.msi.take(0x40);
  driver.device.resume();
  EXPECT_EQ(backend.state, (std::vector<u8>{1, 2, 3}));
  EXPECT_EQ(backend.receive_offloads, (vireo::net::Offloads{.checksum = true, .tso4 = true}));
  EXPECT_EQ(driver.msi.take(0x40), 1u);
  EXPECT_EQ(driver.config<u16>(kConfigStatus), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
  EXPECT_EQ(command({3, 0}), VIRTIO_NET_OK);
  EXPECT_EQ(driver.config<u16>(kConfigStatus), VIRTIO_NET_S_LINK_UP);
  EXPECT_TRUE(backend.deliver(frame_to({2, 2, 2, 2, 2, 2}, 60)));
  EXPECT_FALSE(driver.ring(kReceive).take_used()) << "the filter was saved";
  EXPECT_TRUE(backend.deliver(frame_to(kMac, 60)));
  EXPECT_TRUE(driver.ring(kReceive).take_used());
}

INSTANTIATE_TEST_SUITE_P(Rings, NetTest,
                         testing::Values(0, feature::EVENT_IDX | feature::INDIRECT_DESC, feature::RING_PACKED,
                                         feature::RING_PACKED | feature::EVENT_IDX));

TEST(NetPairs, have_queues_of_their_own_and_the_control_queue_behind_them) {
  test::FakeBackend backend(2);
  VirtioDriver driver(std::make_unique<Net>(Net::Setup{.backend = backend, .mac = kMac, .mtu = {}}));
  driver.enable();
  driver.start(VIRTIO_NET_F_MQ | VIRTIO_NET_F_CTRL_VQ);
  EXPECT_EQ(driver.config<u16>(kConfigMaxPairs), 2);
  const auto set_pairs = [&](u8 count) {
    const u8 request[] = {4, 0, count, 0};
    driver.memory.write(VirtioDriver::kData, request, sizeof request);
    driver.ring(4).add({{VirtioDriver::kData, 4, false}, {VirtioDriver::kData + 0x800, 1, true}});
    driver.notify(4);
    return *driver.memory.at(VirtioDriver::kData + 0x800, 1);
  };
  EXPECT_EQ(set_pairs(2), VIRTIO_NET_OK);
  EXPECT_EQ(backend.used_pairs, 2u);
  EXPECT_EQ(set_pairs(3), VIRTIO_NET_ERR);
  EXPECT_EQ(set_pairs(0), VIRTIO_NET_ERR);
  driver.ring(3).add({{VirtioDriver::kData, 12 + 60, false}});
  driver.notify(3);
  ASSERT_EQ(backend.sent.size(), 1u);
  EXPECT_EQ(backend.sent[0].pair, 1u);
  driver.ring(2).add({{VirtioDriver::kData, 2000, true}});
  EXPECT_TRUE(backend.deliver(frame_to(kMac, 60), {}, 1));
  EXPECT_TRUE(driver.ring(2).take_used());
}

}  // namespace
}  // namespace vireo::virtio
