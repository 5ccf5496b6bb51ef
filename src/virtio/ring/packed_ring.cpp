#include "virtio/ring/packed_ring.h"

#include "base/bytes.h"
#include "virtio/ring/walk.h"

namespace vireo::virtio {

using namespace packed;

std::unique_ptr<Ring> PackedRing::create(vm::GuestMemory& memory, const RingPlace& place, u64 features,
                                         RingPosition at) {
  if (place.size == 0 || place.size > kMaxQueueSize || at.index >= place.size) return nullptr;
  if (place.descriptor % kDescriptorAlign != 0 || (place.driver | place.device) % kEventAlign != 0) return nullptr;
  std::unique_ptr<PackedRing> ring(new PackedRing(memory, place.size, features, at));
  ring->descriptors_ = memory.at(place.descriptor, place.size * kDescriptorSize);
  ring->driver_event_ = memory.at(place.driver, kEventSize);
  ring->device_event_ = memory.at(place.device, kEventSize);
  if (ring->descriptors_ == nullptr || ring->driver_event_ == nullptr || ring->device_event_ == nullptr) return nullptr;
  return ring;
}

void PackedRing::advance(RingPosition& position, u16 slots) const {
  const u32 index = u32{position.index} + slots;
  position.wrap ^= index >= size_;
  position.index = static_cast<u16>(index >= size_ ? index - size_ : index);
}

bool PackedRing::is_available(u16 flags) const {
  return ((flags & desc::AVAIL) != 0) == available_.wrap && ((flags & desc::USED) != 0) != available_.wrap;
}

Ring::Popped PackedRing::pop(Chain& chain) {
  // The driver makes the first descriptor available last (2.8.6).
  if (!is_available(load_shared(slot(available_.index) + DescFlags))) return Popped::Nothing;
  chain.clear();
  Walk walk(memory_, chain, (features_ & feature::INDIRECT_DESC) != 0);
  RingPosition at = available_;
  while (out_ + chain.descriptors < size_) {
    const Descriptor descriptor = copy_packed(slot(at.index));
    advance(at, 1);
    ++chain.descriptors;
    switch (walk.add(descriptor, false)) {
      case Walk::Step::Bad:
        return Popped::Broken;
      case Walk::Step::End:
        chain.id = descriptor.next_or_id;
        available_ = at;
        out_ = static_cast<u16>(out_ + chain.descriptors);
        return Popped::Chain;
      case Walk::Step::More:
        break;
    }
  }
  return Popped::Broken;  // longer than what the driver can own
}

void PackedRing::undo(const Chain& chain) {
  out_ = static_cast<u16>(out_ - chain.descriptors);
  const bool back_over_end = available_.index < chain.descriptors;
  available_.index = static_cast<u16>(available_.index + (back_over_end ? size_ : 0) - chain.descriptors);
  available_.wrap ^= back_over_end;
}

bool PackedRing::push(std::span<const Used> used) {
  u8* first = slot(used_.index);
  u16 first_flags = 0, pushed = 0;
  for (const auto& one : used) {
    u8* at = slot(used_.index);
    store(at + kDescriptorLen, one.written);
    store(at + DescId, one.id);
    const u16 flags =
        static_cast<u16>((used_.wrap ? desc::AVAIL | desc::USED : 0) | (one.written != 0 ? desc::WRITE : 0));
    if (at == first && pushed == 0) {
      first_flags = flags;  // stored last: nobody looks at the others before
    } else {
      store_shared(at + DescFlags, flags);
    }
    memory_.note_write(static_cast<u64>(at - memory_.base()), kDescriptorSize);
    advance(used_, one.descriptors);
    pushed = static_cast<u16>(pushed + one.descriptors);
  }
  store_shared(first + DescFlags, first_flags);
  memory_.note_write(static_cast<u64>(first - memory_.base()), kDescriptorSize);
  out_ = static_cast<u16>(out_ - pushed);
  full_fence();
  return wants_interrupt(pushed);
}

bool PackedRing::wants_interrupt(u16 pushed) const {
  const u16 flags = load_shared(driver_event_ + EventFlags);
  if (flags == RING_EVENT_FLAGS_DISABLE) return false;
  if (flags != RING_EVENT_FLAGS_DESC || (features_ & feature::EVENT_IDX) == 0) return true;
  const u16 off_wrap = load_shared(driver_event_ + EventOffWrap);
  // An offset of the round before lies a ring's length behind (2.8.10).
  const bool this_round = ((off_wrap & kWrapBit) != 0) == used_.wrap;
  const u16 event = static_cast<u16>((off_wrap & ~kWrapBit) - (this_round ? 0 : size_));
  return crosses(event, used_.index, static_cast<u16>(used_.index - pushed));
}

void PackedRing::set_event(u64 offset, u16 value) {
  store_shared(device_event_ + offset, value);
  memory_.note_write(static_cast<u64>(device_event_ - memory_.base()) + offset, sizeof value);
}

void PackedRing::disable_notifications() { set_event(EventFlags, RING_EVENT_FLAGS_DISABLE); }

bool PackedRing::enable_notifications() {
  if ((features_ & feature::EVENT_IDX) != 0) {
    set_event(EventOffWrap, static_cast<u16>(available_.index | (available_.wrap ? kWrapBit : 0)));
    set_event(EventFlags, RING_EVENT_FLAGS_DESC);
  } else {
    set_event(EventFlags, RING_EVENT_FLAGS_ENABLE);
  }
  full_fence();
  return !is_available(load_shared(slot(available_.index) + DescFlags));
}

}  // namespace vireo::virtio
