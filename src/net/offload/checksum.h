// The Internet checksum (RFC 1071): the ones' complement sum of 16-bit words, in network order.
#pragma once

#include <span>

#include "base/types.h"
#include "net/api/frame.h"

namespace vireo::net {

/// The sum of `bytes` (an odd one is padded with zero) and `sum`, folded to 16 bits, as it stands in memory: store() it
/// complemented and the checksum is right.
u16 internet_sum(std::span<const u8> bytes, u32 sum = 0);

/// The sum after a word at an even offset became another (RFC 1624): for a stored, that is complemented, checksum.
u16 adjusted_checksum(u16 checksum, u16 before, u16 after);

/// Carries out VIRTIO_NET_HDR_F_NEEDS_CSUM, and clears it. False: the header points outside the frame; nothing was
/// done.
bool finish_checksum(VirtioNetHdr& header, std::span<u8> frame);

}  // namespace vireo::net
