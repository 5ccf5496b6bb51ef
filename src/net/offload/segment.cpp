#include "net/offload/segment.h"

#include <algorithm>
#include <array>

#include "net/offload/checksum.h"
#include "net/offload/packet.h"

namespace vireo::net {
namespace {

void set_ipv4_checksum(std::span<u8> frame, const IpPacket& packet) {
  const std::size_t field = packet.ip + 10;
  store<u16>(frame.data() + field, 0);
  const auto header = frame.subspan(packet.ip, packet.transport - packet.ip);
  store(frame.data() + field, static_cast<u16>(~internet_sum(header)));
}

/// IP's length, and IPv4's checksum.
void set_length(std::span<u8> frame, const IpPacket& packet, std::size_t end) {
  if (packet.v6) {
    put16(frame, packet.ip + 4, static_cast<u16>(end - packet.transport));
  } else {
    put16(frame, packet.ip + 2, static_cast<u16>(end - packet.ip));
    set_ipv4_checksum(frame, packet);
  }
}

}  // namespace

bool segment_tcp(std::span<const u8> frame, std::size_t payload, const FrameSink& sink) {
  const auto packet = find_tcp(frame);
  if (!packet || payload == 0) return false;
  const auto& [ip, begin] = *packet;
  std::array<u8, kMaxFrame> segment;
  std::copy_n(frame.begin(), begin, segment.begin());
  const u8 flags = frame[ip.transport + tcp::kFlags];
  const u32 sequence = get32(frame, ip.transport + tcp::kSequence);
  u16 identification = ip.v6 ? u16{0} : get16(frame, ip.ip + 4);
  for (std::size_t at = begin; at < ip.end || at == begin;) {
    const std::size_t size = std::min(payload, ip.end - at);
    const std::span<u8> bytes(segment.data(), begin + size);
    std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), size,
                bytes.begin() + static_cast<std::ptrdiff_t>(begin));
    if (!ip.v6) put16(bytes, ip.ip + 4, identification++);
    set_length(bytes, ip, bytes.size());
    u8 kept = flags;
    if (at != begin) kept &= static_cast<u8>(~tcp::kCwr);
    if (at + size != ip.end) kept &= static_cast<u8>(~(tcp::kFin | tcp::kPsh));
    bytes[ip.transport + tcp::kFlags] = kept;
    put32(bytes, ip.transport + tcp::kSequence, sequence + static_cast<u32>(at - begin));
    store<u16>(bytes.data() + ip.transport + tcp::kChecksum, 0);
    const u16 pseudo = pseudo_header_sum(bytes, ip, bytes.size() - ip.transport);
    const u16 sum = static_cast<u16>(~internet_sum(bytes.subspan(ip.transport), pseudo));
    store(bytes.data() + ip.transport + tcp::kChecksum, sum);
    sink(bytes);
    at += size;
    if (size == 0) break;
  }
  return true;
}

bool finish(const VirtioNetHdr& header, std::span<u8> frame, const FrameSink& sink) {
  const u8 type = header.gso_type & static_cast<u8>(~VIRTIO_NET_HDR_GSO_ECN);
  if (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6) {
    return segment_tcp(frame, header.gso_size, sink);
  }
  VirtioNetHdr rest = header;
  if (type != VIRTIO_NET_HDR_GSO_NONE || !finish_checksum(rest, frame)) return false;
  sink(frame);
  return true;
}

bool fragment_ipv4(std::span<const u8> frame, std::size_t mtu, const FrameSink& sink) {
  constexpr u16 kDontFragment = 0x4000, kMoreFragments = 0x2000;
  const auto packet = find_ip(frame);
  if (!packet || packet->v6 || mtu < 68 || (get16(frame, packet->ip + 6) & kDontFragment) != 0) return false;
  const std::size_t header = packet->transport - packet->ip;
  const std::size_t most = (mtu - header) & ~std::size_t{7};
  std::array<u8, kMaxFrame> fragment;
  std::copy_n(frame.begin(), packet->transport, fragment.begin());
  for (std::size_t at = packet->transport; at < packet->end;) {
    const std::size_t size = std::min(most, packet->end - at);
    const std::span<u8> bytes(fragment.data(), packet->transport + size);
    std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), size,
                bytes.begin() + static_cast<std::ptrdiff_t>(packet->transport));
    const bool last = at + size == packet->end;
    put16(bytes, packet->ip + 6, static_cast<u16>((at - packet->transport) / 8 | (last ? 0 : kMoreFragments)));
    set_length(bytes, *packet, bytes.size());
    sink(bytes);
    at += size;
  }
  return true;
}

void raise_mss(std::span<u8> frame, u16 mss) {
  constexpr u8 kEnd = 0, kNothing = 1, kMaximumSegmentSize = 2;  // RFC 9293, 3.2
  const auto packet = find_tcp(frame);
  if (!packet || (frame[packet->ip.transport + tcp::kFlags] & tcp::kSyn) == 0) return;
  for (std::size_t at = packet->ip.transport + tcp::kHeader; at < packet->payload && frame[at] != kEnd;) {
    if (frame[at] == kNothing) {
      ++at;
      continue;
    }
    if (at + 1 >= packet->payload || frame[at + 1] < 2) return;
    if (frame[at] == kMaximumSegmentSize && frame[at + 1] == 4 && at + 4 <= packet->payload) {
      const u16 before = get16(frame, at + 2);
      if (before >= mss) return;
      put16(frame, at + 2, mss);
      // An odd offset swaps what the words are to the sum.
      const bool odd = (at - packet->ip.transport) % 2 != 0;
      const u16 from = odd ? before : __builtin_bswap16(before), to = odd ? mss : __builtin_bswap16(mss);
      const std::size_t field = packet->ip.transport + tcp::kChecksum;
      store(frame.data() + field, adjusted_checksum(load<u16>(frame.data() + field), from, to));
      return;
    }
    at += frame[at + 1];
  }
}

}  // namespace vireo::net
