// Frames of the driver (virtio 1.2, 5.1.6.2).
#include "base/bytes.h"
#include "virtio/net/net.h"

namespace vireo::virtio {

using namespace net;

void Net::transmit(unsigned pair) {
  Queue& queue = transmit_queue(pair);
  const std::lock_guard lock(queue.mutex());
  queue.disable_notifications();
  // A driver that adds as fast as it is served must not keep a thread.
  for (unsigned rounds = queue.size() / kBurst + 1; rounds != 0; --rounds) {
    switch (transmit_some(queue, transmitters_[pair], pair)) {
      case Sent::Some:
        return;  // serve() comes when the back end takes more
      case Sent::Nothing:
        if (queue.enable_notifications()) return;
        queue.disable_notifications();
        break;
      case Sent::All:
        break;
    }
  }
  if (!queue.enable_notifications()) host().notify_later(queue.index());
}

Net::Sent Net::transmit_some(Queue& queue, Transmitter& transmitter, unsigned pair) {
  std::size_t chains = 0, frames = 0;
  for (; chains < kBurst && queue.pop(transmitter.chains[chains]); ++chains) {
    auto& readable = transmitter.chains[chains].readable;
    std::array<u8, kHeader> bytes;
    if (!readable.take(bytes.data(), bytes.size())) continue;
    const u64 size = readable.size();
    if (size < vireo::net::kMinFrame || size > vireo::net::kMaxFrame) continue;
    transmitter.frames[frames] = {vireo::load<vireo::net::VirtioNetHdr>(bytes.data()), readable.iovecs(), size};
    transmitter.chain_of[frames++] = chains;
  }
  if (chains == 0) return Sent::Nothing;
  const std::size_t sent = frames == 0 ? 0 : backend_.send(pair, std::span(transmitter.frames).first(frames));
  const std::size_t done = sent == frames ? chains : transmitter.chain_of[sent];
  // Headers were taken off the front of the chains' lists only: popped again they are whole.
  for (std::size_t i = chains; i > done; --i) queue.undo(transmitter.chains[i - 1]);
  transmitter.used.clear();
  for (std::size_t i = 0; i < done; ++i) transmitter.used.emplace_back(transmitter.chains[i], 0);
  queue.push(transmitter.used);
  return done == chains ? Sent::All : Sent::Some;
}

}  // namespace vireo::virtio
