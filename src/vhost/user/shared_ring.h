// The front end's half of a virtqueue that another process serves: a split ring (virtio 1.2, 2.7) in shared memory.
//
// The other side is not trusted: what it gives back must be on its way, and is not longer than it may be. Chains are
// direct, so that ticket, first descriptor and id are one.
//
// Not locked: one caller at a time.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "vhost/api/backend.h"

namespace vireo::vhost::user {

class SharedRing {
 public:
  static constexpr u16 kSize = Backend::kSize;
  // Where its parts are.
  static constexpr u64 kDescriptors = 0, kAvailable = 16 * u64{kSize}, kUsed = kAvailable + 0x1000,
                       kBytes = kUsed + 0x3000;

  /// `at` has kBytes, zeroed, and outlives the object.
  explicit SharedRing(u8* at);

  struct Piece {
    u64 address = 0;  ///< as the other side knows it
    u32 length = 0;
  };
  /// A ticket; nothing when there are not so many descriptors left.
  std::optional<u16> add(std::span<const Piece> readable, std::span<const Piece> writable);
  /// The other side wants to hear of what was added.
  bool must_kick();
  std::optional<Backend::Done> take();
  bool broken() const { return broken_; }

 private:
  u8* const at_;
  std::vector<u16> free_;
  struct Out {
    std::vector<u16> descriptors;  ///< none: it is not on its way
    u64 writable = 0;
  };
  std::array<Out, kSize> out_;
  u16 available_ = 0, used_ = 0;
  bool broken_ = false;
};

}  // namespace vireo::vhost::user
