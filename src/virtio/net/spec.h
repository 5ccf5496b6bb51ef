// The network device. Source: virtio 1.2, 5.1.
#pragma once

#include "base/types.h"

namespace vireo::virtio::net {

// Feature bits (5.1.3)
constexpr u64 VIRTIO_NET_F_CSUM = u64{1} << 0, VIRTIO_NET_F_GUEST_CSUM = u64{1} << 1,
              VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = u64{1} << 2, VIRTIO_NET_F_MTU = u64{1} << 3,
              VIRTIO_NET_F_MAC = u64{1} << 5, VIRTIO_NET_F_GUEST_TSO4 = u64{1} << 7,
              VIRTIO_NET_F_GUEST_TSO6 = u64{1} << 8, VIRTIO_NET_F_GUEST_ECN = u64{1} << 9,
              VIRTIO_NET_F_HOST_TSO4 = u64{1} << 11, VIRTIO_NET_F_HOST_TSO6 = u64{1} << 12,
              VIRTIO_NET_F_HOST_ECN = u64{1} << 13, VIRTIO_NET_F_MRG_RXBUF = u64{1} << 15,
              VIRTIO_NET_F_STATUS = u64{1} << 16, VIRTIO_NET_F_CTRL_VQ = u64{1} << 17,
              VIRTIO_NET_F_CTRL_RX = u64{1} << 18, VIRTIO_NET_F_CTRL_VLAN = u64{1} << 19,
              VIRTIO_NET_F_CTRL_RX_EXTRA = u64{1} << 20, VIRTIO_NET_F_GUEST_ANNOUNCE = u64{1} << 21,
              VIRTIO_NET_F_MQ = u64{1} << 22, VIRTIO_NET_F_CTRL_MAC_ADDR = u64{1} << 23;

// Configuration (5.1.4)
constexpr u32 kConfigMac = 0, kConfigStatus = 6, kConfigMaxPairs = 8, kConfigMtu = 10, kConfigSize = 12;
constexpr u16 VIRTIO_NET_S_LINK_UP = 1, VIRTIO_NET_S_ANNOUNCE = 2;

/// Bytes in front of a frame: struct virtio_net_hdr with num_buffers, which is the last (5.1.6).
constexpr u32 kHeader = 12;

// Control queue (5.1.6.5): class, command, what belongs to it; then a byte for the answer
enum class Class : u8 { RX = 0, MAC = 1, VLAN = 2, ANNOUNCE = 3, MQ = 4, GUEST_OFFLOADS = 5 };
namespace rx {
constexpr u8 PROMISC = 0, ALLMULTI = 1, ALLUNI = 2, NOMULTI = 3, NOUNI = 4, NOBCAST = 5;
}
namespace mac {
constexpr u8 TABLE_SET = 0, ADDR_SET = 1;
}
namespace vlan {
constexpr u8 ADD = 0, DEL = 1;
}
constexpr u8 ANNOUNCE_ACK = 0, MQ_VQ_PAIRS_SET = 0, GUEST_OFFLOADS_SET = 0;
constexpr u8 VIRTIO_NET_OK = 0, VIRTIO_NET_ERR = 1;

}  // namespace vireo::virtio::net
