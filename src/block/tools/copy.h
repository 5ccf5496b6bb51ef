// Copying between images, stretch by stretch.
#pragma once

#include "block/tools/tools.h"

namespace vireo::block {

/// A stretch of a disk as its reader sees it, through the chain.
struct Seen {
  bool zero = false;
  u64 length = 0;  ///< bytes
};
Result<Seen> look(Image& image, u64 offset, u64 length);

/// An I/O error with the image's role, such as "cannot read the source".
template <class T>
Result<> told(const Io<T>& done, std::string_view what);

/// Reads [offset, offset + bytes.size()); zeroes beyond the end.
Result<> read_padded(Image& image, u64 offset, std::span<u8> bytes, std::string_view what);

bool is_zero(std::span<const u8> bytes);

}  // namespace vireo::block
