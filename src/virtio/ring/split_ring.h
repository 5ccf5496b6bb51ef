// A split virtqueue (virtio 1.2, 2.7): a table of descriptors, the driver's ring of heads, the device's ring of used
// ones.
#pragma once

#include "virtio/ring/ring.h"

namespace vireo::virtio {

class SplitRing final : public Ring {
 public:
  static std::unique_ptr<Ring> create(vm::GuestMemory& memory, const RingPlace& place, u64 features, RingPosition at);

  Popped pop(Chain& chain) override;
  void undo(const Chain& chain) override;
  bool push(std::span<const Used> used) override;
  void disable_notifications() override;
  bool enable_notifications() override;
  RingPosition position() const override { return {next_available_, true}; }
  unsigned out() const override { return out_; }

 private:
  SplitRing(vm::GuestMemory& memory, u16 size, u64 features, u16 index)
      : memory_(memory), size_(size), features_(features), next_available_(index), next_used_(index) {}
  bool event_index() const { return (features_ & feature::EVENT_IDX) != 0; }
  void set_used(u64 offset, u16 value);

  vm::GuestMemory& memory_;
  const u16 size_;  ///< a power of two
  const u64 features_;
  u8 *descriptors_ = nullptr, *available_ = nullptr, *used_ = nullptr;
  u16 next_available_, next_used_;
  u16 out_ = 0;  ///< at most size_
};

}  // namespace vireo::virtio
