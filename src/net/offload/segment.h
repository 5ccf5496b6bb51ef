// What a frame needs to fit a link: segmentation of TCP (as a NIC with TSO does it), fragmentation of UDP over IPv4.
#pragma once

#include <functional>
#include <span>

#include "base/types.h"
#include "net/api/frame.h"

namespace vireo::net {

/// Takes one finished frame; the bytes are gone afterwards.
using FrameSink = std::function<void(std::span<const u8> frame)>;

/// Cuts a frame with a TCP packet into ones with at most `payload` bytes each, all checksums filled in. False when it
/// is no such frame, or `payload` is 0; then nothing was given to `sink`. IPv4's identification counts up, PSH and FIN
/// stand on the last one only, CWR on the first (RFC 3168, 6.1.2).
bool segment_tcp(std::span<const u8> frame, std::size_t payload, const FrameSink& sink);

/// Does all that the header leaves to be done. False as above, and when the header asks for what it must not.
bool finish(const VirtioNetHdr& header, std::span<u8> frame, const FrameSink& sink);

/// Cuts an IPv4 packet that may be cut into fragments that fit `mtu` (68 or more). False when it is no such packet.
bool fragment_ipv4(std::span<const u8> frame, std::size_t mtu, const FrameSink& sink);

/// A guest that takes segments larger than its link tells a peer that is this very process so: the maximum segment size
/// in a SYN becomes `mss` if it is lower (RFC 9293, 3.7.1). Everything else is left as it is.
void raise_mss(std::span<u8> frame, u16 mss);

}  // namespace vireo::net
