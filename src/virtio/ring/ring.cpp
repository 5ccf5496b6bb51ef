#include "virtio/ring/ring.h"

#include "virtio/ring/packed_ring.h"
#include "virtio/ring/split_ring.h"

namespace vireo::virtio {

std::unique_ptr<Ring> make_ring(vm::GuestMemory& memory, const RingPlace& place, u64 features, RingPosition position) {
  return (features & feature::RING_PACKED) != 0 ? PackedRing::create(memory, place, features, position)
                                                : SplitRing::create(memory, place, features, position);
}

}  // namespace vireo::virtio
