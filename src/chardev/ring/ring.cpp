#include "chardev/ring/ring.h"

#include <algorithm>
#include <cstring>

namespace vireo::chardev {

void LogRing::append(std::span<const u8> bytes) {
  const std::lock_guard lock(mutex_);
  end_ += bytes.size();
  if (bytes.size() > kSize) bytes = bytes.last(kSize);
  for (u64 at = end_ - bytes.size(); !bytes.empty();) {
    const std::size_t place = at % kSize;
    const std::size_t count = std::min(bytes.size(), kSize - place);
    std::memcpy(bytes_.get() + place, bytes.data(), count);
    bytes = bytes.subspan(count);
    at += count;
  }
}

LogRing::Piece LogRing::read(u64 from, std::size_t most) const {
  const std::lock_guard lock(mutex_);
  const u64 first = end_ > kSize ? end_ - kSize : 0;
  Piece piece{.from = std::clamp(from, first, end_), .end = end_, .bytes = {}};
  piece.bytes.resize(std::min<u64>(most, end_ - piece.from));
  for (std::size_t i = 0; i < piece.bytes.size(); ++i) piece.bytes[i] = bytes_[(piece.from + i) % kSize];
  return piece;
}

u64 LogRing::end() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

}  // namespace vireo::chardev
