// What a peer sends over a wire: the framing, and what looks into frames.
#include "net/offload/checksum.h"
#include "net/offload/packet.h"
#include "net/offload/segment.h"
#include "net/socket/framing.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  ByteReader in({data, size});
  net::VirtioNetHdr header{.flags = in.take<u8>(),
                           .gso_type = in.take<u8>(),
                           .gso_size = in.take<u16>(),
                           .csum_start = in.take<u16>(),
                           .csum_offset = in.take<u16>()};
  const std::size_t mtu = in.take<u16>();
  const std::size_t step = 1 + in.take<u8>();
  net::FrameReader reader;
  const net::FrameSink look = [&](std::span<const u8> frame) {
    std::vector<u8> copy(frame.begin(), frame.end());
    std::size_t total = 0;
    const net::FrameSink count = [&](std::span<const u8> part) { total += part.size(); };
    if (header.gso_size > 8 || frame.size() < 2000) net::finish(header, copy, count);
    net::fragment_ipv4(copy, mtu, count);
    net::raise_mss(copy, 16384);
  };
  while (in.remaining() != 0) {
    if (!reader.feed(in.take_bytes(std::min(step, in.remaining())), look)) break;
  }
  return 0;
}
