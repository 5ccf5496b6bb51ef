// An Ethernet frame on its way between a NIC and a back end, and what is left to be done to it.
//
// A frame goes with the header that virtio-net and Linux's tap devices use alike, so that work which the other side can
// do, or that turns out to be needless, is not done: a checksum that is not filled in yet, a TCP segment larger than
// the link that is still to be cut.
#pragma once

#include <sys/uio.h>

#include <span>

#include "base/types.h"

namespace vireo::net {

/// struct virtio_net_hdr without num_buffers, which belongs to a ring (virtio 1.2, 5.1.6). Little endian in memory.
struct VirtioNetHdr {
  u8 flags = 0;
  u8 gso_type = 0;
  u16 hdr_len = 0;      ///< of all headers, a hint
  u16 gso_size = 0;     ///< bytes of payload in each segment
  u16 csum_start = 0;   ///< where the checksum begins to count
  u16 csum_offset = 0;  ///< from there to where it goes
};
static_assert(sizeof(VirtioNetHdr) == 10);

constexpr u8 VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;  ///< the field at csum_offset holds the pseudo-header's sum only
constexpr u8 VIRTIO_NET_HDR_F_DATA_VALID = 2;  ///< the checksum is known to be right
constexpr u8 VIRTIO_NET_HDR_GSO_NONE = 0;
constexpr u8 VIRTIO_NET_HDR_GSO_TCPV4 = 1;
constexpr u8 VIRTIO_NET_HDR_GSO_TCPV6 = 4;
constexpr u8 VIRTIO_NET_HDR_GSO_ECN = 0x80;  ///< a bit besides: TCP's CWR is set

constexpr std::size_t kEthernetHeader = 14;
/// The largest IP packet, its Ethernet header and a VLAN tag.
constexpr std::size_t kMaxFrame = 65535 + kEthernetHeader + 4;
/// Frames shorter than this are no frames.
constexpr std::size_t kMinFrame = kEthernetHeader;

/// What a link can carry in one IP packet, bytes: IPv6 wants 1280 (RFC 8200, 5); the largest of libslirp and Linux.
constexpr unsigned kMinMtu = 1280, kMaxMtu = 65520;

struct Frame {
  VirtioNetHdr header;
  std::span<const iovec> parts;  ///< where its bytes are; any count
  std::size_t size = 0;          ///< of the parts together, kMinFrame..kMaxFrame
};

/// Work that one side leaves to the other.
struct Offloads {
  bool checksum = false;  ///< VIRTIO_NET_HDR_F_NEEDS_CSUM, and DATA_VALID
  bool tso4 = false;      ///< VIRTIO_NET_HDR_GSO_TCPV4; only with checksum
  bool tso6 = false;      ///< VIRTIO_NET_HDR_GSO_TCPV6; only with checksum
  bool ecn = false;       ///< VIRTIO_NET_HDR_GSO_ECN besides one of those
  friend bool operator==(const Offloads&, const Offloads&) = default;
};

}  // namespace vireo::net
