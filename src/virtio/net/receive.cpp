// Frames for the driver (virtio 1.2, 5.1.6.3 and 5.1.6.4).
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "virtio/net/net.h"

namespace vireo::virtio {

using namespace net;

bool Net::wanted(const vireo::net::Frame& frame) const {
  std::array<u8, 18> head;
  std::size_t size = 0;
  for (const auto& part : frame.parts) {
    const std::size_t now = std::min(part.iov_len, head.size() - size);
    std::memcpy(head.data() + size, part.iov_base, now);
    size += now;
  }
  if (size < vireo::net::kMinFrame) return false;
  const std::lock_guard lock(mutex_);
  return s_.filter.wants(std::span(head).first(size));
}

// Writes a frame into as many buffers as it takes, whose use is noted in receiver.used. No: there are too few now.
Net::Placed Net::place(Queue& queue, Receiver& receiver, const vireo::net::Frame& frame) {
  const u64 needed = kHeader + frame.size;
  const bool merge = has(VIRTIO_NET_F_MRG_RXBUF);
  std::size_t count = 0;
  u64 room = 0;
  const auto give_back = [&] {
    while (count > 0) queue.undo(receiver.chains[--count]);
  };
  while (room < needed) {
    if (count == receiver.chains.size()) receiver.chains.emplace_back();
    if (!queue.pop(receiver.chains[count])) {
      // Asked while those that are too few are still out: the driver is to tell of more than them.
      if (!queue.enable_notifications()) continue;
      give_back();
      return Placed::No;
    }
    room += receiver.chains[count++].writable.size();
    if ((room < needed && !merge) || count > queue.size()) {
      // Nothing will make it fit. The buffers go back unused.
      give_back();
      return Placed::Never;
    }
  }
  std::array<u8, kHeader> header;
  store(header.data(), frame.header);
  store(header.data() + sizeof frame.header, static_cast<u16>(merge ? count : 1));
  std::size_t at = 0;
  u32 written = 0;
  const auto put = [&](const u8* from, u64 length) {
    while (length != 0) {
      auto& writable = receiver.chains[at].writable;
      const u64 now = std::min(length, writable.size());
      writable.put(host().memory(), from, now);
      from += now;
      length -= now;
      written += static_cast<u32>(now);
      if (writable.size() == 0 && at + 1 < count) {
        receiver.used.emplace_back(receiver.chains[at++], written);
        written = 0;
      }
    }
  };
  put(header.data(), header.size());
  for (const auto& part : frame.parts) put(static_cast<const u8*>(part.iov_base), part.iov_len);
  receiver.used.emplace_back(receiver.chains[at], written);
  return Placed::Yes;
}

std::size_t Net::receive(unsigned pair, std::span<const vireo::net::Frame> frames) {
  if (pair >= max_pairs_) return frames.size();
  Queue& queue = receive_queue(pair);
  auto& receiver = receivers_[pair];
  const std::lock_guard lock(queue.mutex());
  if (queue.size() == 0) return frames.size();  // nobody listens
  receiver.used.clear();
  std::size_t taken = 0;
  for (; taken < frames.size(); ++taken) {
    if (!wanted(frames[taken])) continue;
    if (place(queue, receiver, frames[taken]) == Placed::No) {
      receiver.starved = true;
      break;
    }
  }
  queue.push(receiver.used);
  return taken;
}

void Net::buffers_came(unsigned pair) {
  Queue& queue = receive_queue(pair);
  {
    const std::lock_guard lock(queue.mutex());
    queue.disable_notifications();
    if (!std::exchange(receivers_[pair].starved, false)) return;
  }
  backend_.wake();
}

}  // namespace vireo::virtio
