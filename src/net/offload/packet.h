// Where the headers of a frame are. Frames are a guest's or a stranger's: every offset is checked.
#pragma once

#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/types.h"

namespace vireo::net {

/// Big-endian fields.
inline u16 get16(std::span<const u8> bytes, std::size_t at) { return __builtin_bswap16(load<u16>(bytes.data() + at)); }
inline u32 get32(std::span<const u8> bytes, std::size_t at) { return __builtin_bswap32(load<u32>(bytes.data() + at)); }
inline void put16(std::span<u8> bytes, std::size_t at, u16 value) {
  store(bytes.data() + at, __builtin_bswap16(value));
}
inline void put32(std::span<u8> bytes, std::size_t at, u32 value) {
  store(bytes.data() + at, __builtin_bswap32(value));
}

/// A frame that holds one whole IP packet: no fragment, no IPv6 extension headers, no VLAN tag.
struct IpPacket {
  bool v6 = false;
  u8 protocol = 0;
  std::size_t ip = 0;         ///< where its header begins
  std::size_t transport = 0;  ///< where the next one does
  std::size_t end = 0;        ///< of the packet; the frame may be longer
};
constexpr u8 kProtocolTcp = 6, kProtocolUdp = 17;
constexpr std::size_t kIpv6Header = 40;

std::optional<IpPacket> find_ip(std::span<const u8> frame);

namespace tcp {
// RFC 9293, 3.1
constexpr std::size_t kSequence = 4, kOffset = 12, kFlags = 13, kChecksum = 16, kHeader = 20;
constexpr u8 kFin = 0x01, kSyn = 0x02, kPsh = 0x08, kCwr = 0x80;
}  // namespace tcp

struct TcpPacket {
  IpPacket ip;
  std::size_t payload = 0;  ///< where it begins
};
std::optional<TcpPacket> find_tcp(std::span<const u8> frame);

/// The sum of the pseudo-header of a packet whose transport header and payload are `length` bytes (RFC 9293, 3.1; RFC
/// 8200, 8.1).
u16 pseudo_header_sum(std::span<const u8> frame, const IpPacket& packet, std::size_t length);

}  // namespace vireo::net
