#include "virtio/rng/rng.h"

namespace vireo::virtio {
namespace {

/// The most bytes a buffer gets; the driver asks again for more (5.4.6.1).
constexpr u64 kMost = 4096;

}  // namespace

void Rng::notify(unsigned queue) {
  const bool more = host().queue(queue).serve(chain_, [&](Chain& chain) {
    std::array<u8, kMost> bytes;
    const u64 count = std::min(chain.writable.size(), kMost);
    fill_(std::span(bytes).first(count));
    chain.writable.put(host().memory(), bytes.data(), count);
    return static_cast<u32>(count);
  });
  if (more) host().notify_later(queue);
}

}  // namespace vireo::virtio
