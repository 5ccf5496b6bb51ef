#include "virtio/console/port.h"

#include <algorithm>
#include <array>

namespace vireo::virtio::console {
namespace {

/// Bytes sent at once, and buffers looked at before the thread is let go.
constexpr u64 kPart = 4096;
constexpr unsigned kParts = 64;

}  // namespace

void Port::attach(Host& host) {
  host_ = &host;
  channel_.set_sink(this);
}

// ---- Input

std::size_t Port::room() {
  const std::lock_guard lock(receive_queue().mutex());
  channel_waits_ = input_.size() == kInput;
  return kInput - input_.size();
}

void Port::receive(std::span<const u8> bytes) {
  Queue& queue = receive_queue();
  const std::lock_guard lock(queue.mutex());
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  deliver_locked(queue);
}

void Port::deliver() {
  Queue& queue = receive_queue();
  bool resume = false;
  {
    const std::lock_guard lock(queue.mutex());
    deliver_locked(queue);
    resume = channel_waits_ && input_.size() < kInput;
    if (resume) channel_waits_ = false;
  }
  if (resume) channel_.resume_input();
}

// Buffers are looked for only when there is something for them; until then the driver need not tell of any.
void Port::deliver_locked(Queue& queue) {
  queue.disable_notifications();
  for (unsigned left = kParts; guest_open_ && !input_.empty(); --left) {
    if (left == 0) return host_->notify_later(receive_);
    if (!queue.pop(receiving_)) {
      if (queue.enable_notifications()) return;
      continue;
    }
    const u64 count = std::min<u64>(receiving_.writable.size(), input_.size());
    receiving_.writable.put(host_->memory(), input_.data(), count);
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(count));
    queue.push(receiving_, static_cast<u32>(count));
  }
}

void Port::set_guest_open(bool open) {
  const std::lock_guard lock(receive_queue().mutex());
  guest_open_ = open;
}

// ---- Output

void Port::transmit() {
  Queue& queue = transmit_queue();
  std::array<u8, kPart> bytes;
  std::unique_lock lock(queue.mutex());
  if (busy_) return;  // one thread keeps the order; it will look again
  busy_ = true;
  unsigned parts = 0;
  queue.disable_notifications();
  while (!stuck_ && parts < kParts) {
    ++parts;
    if (!queue.pop(transmitting_)) {
      if (queue.enable_notifications()) break;
      continue;
    }
    Pieces& data = transmitting_.readable;
    data.drop(sent_);
    const u64 count = std::min(data.size(), kPart);
    data.take(bytes.data(), count);
    sent_ = static_cast<u32>(sent_ + count);
    if (data.size() == 0) {
      sent_ = 0;
      queue.push(transmitting_, 0);
    } else {
      queue.undo(transmitting_);
    }
    const unsigned readies = readies_;
    lock.unlock();
    const bool keeps_up = count == 0 || channel_.write(std::span(bytes).first(count));
    lock.lock();
    stuck_ = !keeps_up && readies == readies_;
  }
  busy_ = false;
  if (parts == kParts) host_->notify_later(receive_ + 1);
}

void Port::output_ready() {
  {
    const std::lock_guard lock(transmit_queue().mutex());
    ++readies_;
    stuck_ = false;
  }
  transmit();
}

// ---- State

void Port::reset() {
  set_guest_open(false);
  const std::lock_guard lock(transmit_queue().mutex());
  sent_ = 0;
}

void Port::save(PortState& state) const {
  {
    const std::lock_guard lock(receive_queue().mutex());
    state.guest_open = guest_open_;
    state.input = input_;
  }
  const std::lock_guard lock(transmit_queue().mutex());
  state.sent = sent_;
}

void Port::load(const PortState& state) {
  {
    const std::lock_guard lock(receive_queue().mutex());
    guest_open_ = state.guest_open;
    input_ = state.input;
  }
  const std::lock_guard lock(transmit_queue().mutex());
  sent_ = state.sent;
}

}  // namespace vireo::virtio::console
