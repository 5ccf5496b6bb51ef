#include "net/thread/inbox.h"

#include <algorithm>
#include <array>

namespace vireo::net {

void Inbox::Batch::clear() {
  constexpr std::size_t kKeep = 256 * kKiB;  // what a burst took goes back to the heap
  places.clear();
  bytes.clear();
  done = 0;
  if (bytes.capacity() > kKeep) bytes.shrink_to_fit();
}

void Inbox::add(const VirtioNetHdr& header, std::span<const u8> frame) {
  const std::lock_guard lock(mutex_);
  if (incoming_.bytes.size() + frame.size() > kMaxBytes) return;
  incoming_.places.push_back({header, incoming_.bytes.size(), frame.size()});
  incoming_.bytes.insert(incoming_.bytes.end(), frame.begin(), frame.end());
}

bool Inbox::blocked() const {
  const std::lock_guard lock(mutex_);
  return blocked_;
}

// The next frames of outgoing_. How many were taken.
std::size_t Inbox::offer() {
  std::array<Frame, kBurst> frames;
  std::array<iovec, kBurst> parts;
  const std::size_t count = std::min(kBurst, outgoing_.places.size() - outgoing_.done);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& place = outgoing_.places[outgoing_.done + i];
    parts[i] = {outgoing_.bytes.data() + place.offset, place.size};
    frames[i] = {place.header, {&parts[i], 1}, place.size};
  }
  std::size_t taken = 0;
  const bool passed = gate_.pass([&](Port& port) { taken = port.receive(0, std::span(frames).first(count)); });
  return passed ? taken : count;  // without a device they go nowhere
}

void Inbox::deliver(bool again) {
  std::unique_lock lock(mutex_);
  if (delivering_) {
    again_ |= again;
    return;
  }
  if (again) blocked_ = false;
  while (!blocked_) {
    if (outgoing_.done == outgoing_.places.size()) {
      outgoing_.clear();
      if (incoming_.places.empty()) return;
      std::swap(incoming_, outgoing_);
    }
    delivering_ = true;
    again_ = false;
    lock.unlock();
    const std::size_t taken = offer();
    lock.lock();
    delivering_ = false;
    outgoing_.done += taken;
    blocked_ = taken == 0 && !again_;
  }
}

}  // namespace vireo::net
