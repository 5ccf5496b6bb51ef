#include "net/offload/checksum.h"

#include "base/bytes.h"

namespace vireo::net {
namespace {

u16 fold(u64 sum) {
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFFFFFF) + (sum >> 32);
  sum = (sum & 0xFFFF) + (sum >> 16);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<u16>(sum);
}

}  // namespace

u16 internet_sum(std::span<const u8> bytes, u32 sum) {
  // Words of 32 bits into 64: no carry is lost below 16 GiB, and the compiler makes vectors of it.
  u64 total = sum;
  const u8* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 4; left -= 4, at += 4) total += load<u32>(at);
  if (left >= 2) {
    total += load<u16>(at);
    at += 2;
    left -= 2;
  }
  if (left == 1) total += *at;
  return fold(total);
}

u16 adjusted_checksum(u16 checksum, u16 before, u16 after) {
  const u64 sum = u64{static_cast<u16>(~checksum)} + static_cast<u16>(~before) + after;
  return static_cast<u16>(~fold(sum));
}

bool finish_checksum(VirtioNetHdr& header, std::span<u8> frame) {
  if ((header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0) return true;
  const std::size_t start = header.csum_start, field = start + header.csum_offset;
  if (start > frame.size() || field + sizeof(u16) > frame.size()) return false;
  u16 sum = static_cast<u16>(~internet_sum(frame.subspan(start)));
  if (sum == 0) sum = 0xFFFF;  // of UDP, 0 would mean that there is none (RFC 768); of others it means the same
  store(frame.data() + field, sum);
  header.flags &= static_cast<u8>(~VIRTIO_NET_HDR_F_NEEDS_CSUM);
  return true;
}

}  // namespace vireo::net
