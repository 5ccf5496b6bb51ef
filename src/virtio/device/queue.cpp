#include "virtio/device/queue.h"

namespace vireo::virtio {

bool Queue::pop(Chain& chain) {
  if (!live()) return false;
  switch (ring_->pop(chain)) {
    case Ring::Popped::Chain:
      return true;
    case Ring::Popped::Nothing:
      return false;
    case Ring::Popped::Broken:
      break;
  }
  ring_.reset();
  owner_.queue_broken(index_);
  return false;
}

void Queue::undo(const Chain& chain) {
  if (ring_) ring_->undo(chain);
}

void Queue::push(std::span<const Used> used) {
  if (!ring_ || used.empty()) return;
  chains_ += used.size();
  if (!ring_->push(used)) return;
  ++interrupts_;
  owner_.queue_interrupt(index_);
}

void Queue::disable_notifications() {
  if (live()) ring_->disable_notifications();
}

bool Queue::enable_notifications() { return !live() || ring_->enable_notifications(); }

void Queue::attach(std::unique_ptr<Ring> ring, u16 size) {
  const std::lock_guard lock(mutex_);
  ring_ = std::move(ring);
  size_ = size;
}

void Queue::detach() {
  const std::lock_guard lock(mutex_);
  ring_.reset();
}

bool Queue::attached() const {
  const std::lock_guard lock(mutex_);
  return ring_ != nullptr;
}

void Queue::hold(bool on) {
  const std::lock_guard lock(mutex_);
  held_ = on;
}

RingPosition Queue::position() const {
  const std::lock_guard lock(mutex_);
  return ring_ ? ring_->position() : RingPosition{};
}

Queue::Counts Queue::counts() const {
  const std::lock_guard lock(mutex_);
  return {
      .notifications = notifications_.load(std::memory_order_relaxed), .chains = chains_, .interrupts = interrupts_};
}

}  // namespace vireo::virtio
