#include "net/socket/framing.h"

#include <algorithm>
#include <array>

#include "net/offload/packet.h"

namespace vireo::net {

bool FrameReader::feed(std::span<const u8> bytes, const FrameSink& sink) {
  while (!bytes.empty()) {
    // Most often the whole frame is there, and nothing is copied.
    if (rest_.empty() && bytes.size() >= kFrameLength) {
      const u32 length = get32(bytes, 0);
      if (length > kMaxFrame) return false;
      if (bytes.size() - kFrameLength >= length) {
        if (length >= kMinFrame) sink(bytes.subspan(kFrameLength, length));
        bytes = bytes.subspan(kFrameLength + length);
        continue;
      }
    }
    const std::size_t wanted = rest_.size() < kFrameLength ? kFrameLength : kFrameLength + get32(rest_, 0);
    const std::size_t now = std::min(bytes.size(), wanted - rest_.size());
    rest_.insert(rest_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(now));
    bytes = bytes.subspan(now);
    if (rest_.size() < kFrameLength) continue;
    const u32 length = get32(rest_, 0);
    if (length > kMaxFrame) return false;
    if (rest_.size() < kFrameLength + length) continue;
    if (length >= kMinFrame) sink(std::span<const u8>(rest_).subspan(kFrameLength));
    rest_.clear();
  }
  return true;
}

void append_framed(std::vector<u8>& stream, std::span<const u8> frame) {
  std::array<u8, kFrameLength> length;
  put32(length, 0, static_cast<u32>(frame.size()));
  stream.insert(stream.end(), length.begin(), length.end());
  stream.insert(stream.end(), frame.begin(), frame.end());
}

}  // namespace vireo::net
