#include "virtio/ring/split_ring.h"

#include <bit>

#include "base/bytes.h"
#include "virtio/ring/walk.h"

namespace vireo::virtio {

using namespace split;

std::unique_ptr<Ring> SplitRing::create(vm::GuestMemory& memory, const RingPlace& place, u64 features,
                                        RingPosition at) {
  const u64 size = place.size;
  if (!std::has_single_bit(size) || size > kMaxQueueSize) return nullptr;
  if (place.descriptor % kDescriptorAlign != 0 || place.driver % kAvailAlign != 0 || place.device % kUsedAlign != 0) {
    return nullptr;
  }
  std::unique_ptr<SplitRing> ring(new SplitRing(memory, place.size, features, at.index));
  ring->descriptors_ = memory.at(place.descriptor, size * kDescriptorSize);
  // Each ring is followed by the other side's event index.
  ring->available_ = memory.at(place.driver, split::RingStart + size * sizeof(u16) + sizeof(u16));
  ring->used_ = memory.at(place.device, split::RingStart + size * kUsedElement + sizeof(u16));
  if (ring->descriptors_ == nullptr || ring->available_ == nullptr || ring->used_ == nullptr) return nullptr;
  return ring;
}

Ring::Popped SplitRing::pop(Chain& chain) {
  const u16 waiting = static_cast<u16>(load_shared(available_ + Idx) - next_available_);
  if (waiting == 0) return Popped::Nothing;
  if (waiting > size_ || out_ == size_) return Popped::Broken;
  const u16 slot = next_available_ & static_cast<u16>(size_ - 1);
  const u16 head = load_shared(available_ + split::RingStart + slot * sizeof(u16));
  chain.clear();
  chain.id = head;
  chain.descriptors = 1;
  Walk walk(memory_, chain, (features_ & feature::INDIRECT_DESC) != 0);
  u16 index = head;
  for (u16 seen = 0; seen < size_; ++seen) {
    if (index >= size_) return Popped::Broken;
    const Descriptor descriptor = copy_split(descriptors_ + index * kDescriptorSize);
    switch (walk.add(descriptor, true)) {
      case Walk::Step::Bad:
        return Popped::Broken;
      case Walk::Step::End:
        ++next_available_;
        ++out_;
        return Popped::Chain;
      case Walk::Step::More:
        index = descriptor.next_or_id;
    }
  }
  return Popped::Broken;  // a loop
}

void SplitRing::undo(const Chain&) {
  --next_available_;
  --out_;
}

void SplitRing::set_used(u64 offset, u16 value) {
  store_shared(used_ + offset, value);
  memory_.note_write(static_cast<u64>(used_ - memory_.base()) + offset, sizeof value);
}

bool SplitRing::push(std::span<const Used> used) {
  const u16 before = next_used_;
  for (const auto& one : used) {
    u8* element = used_ + split::RingStart + (next_used_ & (size_ - 1)) * kUsedElement;
    store(element, u64{one.written} << 32 | one.id);
    memory_.note_write(static_cast<u64>(element - memory_.base()), kUsedElement);
    ++next_used_;
    --out_;
  }
  set_used(Idx, next_used_);
  full_fence();
  if (!event_index()) return (load_shared(available_ + Flags) & AVAIL_F_NO_INTERRUPT) == 0;
  return crosses(load_shared(available_ + split::RingStart + size_ * sizeof(u16)), next_used_, before);
}

void SplitRing::disable_notifications() {
  if (!event_index()) set_used(Flags, USED_F_NO_NOTIFY);  // else the driver notifies at the index that was asked for
}

bool SplitRing::enable_notifications() {
  if (event_index()) {
    set_used(split::RingStart + size_ * kUsedElement, next_available_);
  } else {
    set_used(Flags, 0);
  }
  full_fence();
  return load_shared(available_ + Idx) == next_available_;
}

}  // namespace vireo::virtio
