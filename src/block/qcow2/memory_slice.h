// A part of scattered memory.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "block/api/disk.h"

namespace vireo::block::qcow2 {

inline std::vector<iovec> slice(std::span<const iovec> memory, u64 offset, u64 length) {
  std::vector<iovec> pieces;
  for (const auto& piece : memory) {
    if (offset >= piece.iov_len) {
      offset -= piece.iov_len;
      continue;
    }
    if (length == 0) break;
    const u64 take = std::min<u64>(piece.iov_len - offset, length);
    pieces.push_back({static_cast<u8*>(piece.iov_base) + offset, take});
    offset = 0;
    length -= take;
  }
  return pieces;
}

inline void fill_zero(std::span<const iovec> memory) {
  for (const auto& piece : memory) std::memset(piece.iov_base, 0, piece.iov_len);
}

inline void copy_to(std::span<const iovec> memory, std::span<const u8> bytes) {
  for (const auto& piece : memory) {
    std::memcpy(piece.iov_base, bytes.data(), piece.iov_len);
    bytes = bytes.subspan(piece.iov_len);
  }
}

}  // namespace vireo::block::qcow2
