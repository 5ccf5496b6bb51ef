// Frames in a stream of bytes, as QEMU has them: a length of 4 bytes, the highest first, and then the frame.
#pragma once

#include <span>
#include <vector>

#include "net/offload/segment.h"

namespace vireo::net {

constexpr std::size_t kFrameLength = 4;

/// Cuts the peer's stream into frames. Lengths are not trusted: one that no frame has ends it.
class FrameReader {
 public:
  /// Gives the frames that are whole to `sink`. False: the stream makes no sense, and never will again.
  bool feed(std::span<const u8> bytes, const FrameSink& sink);
  /// A new stream begins.
  void reset() { rest_.clear(); }

 private:
  std::vector<u8> rest_;  ///< the beginning of a frame, with its length
};

void append_framed(std::vector<u8>& stream, std::span<const u8> frame);

}  // namespace vireo::net
