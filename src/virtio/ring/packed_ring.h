// A packed virtqueue (virtio 1.2, 2.8): one ring of descriptors, which the driver makes available and the device
// overwrites with used ones; two wrap counters tell the rounds apart.
#pragma once

#include "virtio/ring/ring.h"

namespace vireo::virtio {

class PackedRing final : public Ring {
 public:
  static std::unique_ptr<Ring> create(vm::GuestMemory& memory, const RingPlace& place, u64 features, RingPosition at);

  Popped pop(Chain& chain) override;
  void undo(const Chain& chain) override;
  bool push(std::span<const Used> used) override;
  void disable_notifications() override;
  bool enable_notifications() override;
  RingPosition position() const override { return available_; }
  unsigned out() const override { return out_; }

 private:
  PackedRing(vm::GuestMemory& memory, u16 size, u64 features, RingPosition at)
      : memory_(memory), size_(size), features_(features), available_(at), used_(at) {}
  u8* slot(u16 index) const { return descriptors_ + index * kDescriptorSize; }
  void advance(RingPosition& position, u16 slots) const;
  bool is_available(u16 flags) const;
  bool wants_interrupt(u16 pushed) const;
  void set_event(u64 offset, u16 value);

  vm::GuestMemory& memory_;
  const u16 size_;
  const u64 features_;
  u8 *descriptors_ = nullptr, *driver_event_ = nullptr, *device_event_ = nullptr;
  RingPosition available_, used_;
  u16 out_ = 0;  ///< descriptors, at most size_
};

}  // namespace vireo::virtio
