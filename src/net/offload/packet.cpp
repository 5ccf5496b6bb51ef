#include "net/offload/packet.h"

#include "net/api/frame.h"
#include "net/offload/checksum.h"

namespace vireo::net {
namespace {

constexpr std::size_t kEtherType = 12;
constexpr u16 kTypeIpv4 = 0x0800, kTypeIpv6 = 0x86DD;
constexpr std::size_t kIpv4Header = 20;

std::optional<IpPacket> find_ipv4(std::span<const u8> frame) {
  const std::size_t ip = kEthernetHeader;
  if (frame.size() < ip + kIpv4Header || frame[ip] >> 4 != 4) return {};
  const std::size_t header = (frame[ip] & 0xFu) * 4, length = get16(frame, ip + 2);
  constexpr u16 kMoreFragmentsOrOffset = 0x3FFF;
  const bool fragment = (get16(frame, ip + 6) & kMoreFragmentsOrOffset) != 0;
  if (header < kIpv4Header || length < header || frame.size() < ip + length || fragment) return {};
  return IpPacket{.v6 = false, .protocol = frame[ip + 9], .ip = ip, .transport = ip + header, .end = ip + length};
}

std::optional<IpPacket> find_ipv6(std::span<const u8> frame) {
  const std::size_t ip = kEthernetHeader;
  if (frame.size() < ip + kIpv6Header || frame[ip] >> 4 != 6) return {};
  const std::size_t length = get16(frame, ip + 4), transport = ip + kIpv6Header;
  if (frame.size() < transport + length) return {};
  return IpPacket{.v6 = true, .protocol = frame[ip + 6], .ip = ip, .transport = transport, .end = transport + length};
}

}  // namespace

std::optional<IpPacket> find_ip(std::span<const u8> frame) {
  if (frame.size() < kEthernetHeader) return {};
  const u16 type = get16(frame, kEtherType);
  if (type == kTypeIpv4) return find_ipv4(frame);
  if (type == kTypeIpv6) return find_ipv6(frame);
  return {};
}

std::optional<TcpPacket> find_tcp(std::span<const u8> frame) {
  const auto packet = find_ip(frame);
  if (!packet || packet->protocol != kProtocolTcp || packet->end < packet->transport + tcp::kHeader) return {};
  const std::size_t header = (frame[packet->transport + tcp::kOffset] >> 4) * 4u;
  if (header < tcp::kHeader || packet->end < packet->transport + header) return {};
  return TcpPacket{*packet, packet->transport + header};
}

u16 pseudo_header_sum(std::span<const u8> frame, const IpPacket& packet, std::size_t length) {
  const std::size_t addresses = packet.v6 ? 32 : 8, at = packet.v6 ? packet.ip + 8 : packet.ip + 12;
  const u32 rest = __builtin_bswap16(packet.protocol) + u32{__builtin_bswap16(static_cast<u16>(length))} +
                   __builtin_bswap16(static_cast<u16>(length >> 16));
  return internet_sum(frame.subspan(at, addresses), rest);
}

}  // namespace vireo::net
