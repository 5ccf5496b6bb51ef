#include "chardev/stream/peer.h"

namespace vireo::chardev {

std::shared_ptr<PeerChannel::Peer> PeerChannel::peer() const {
  const std::lock_guard lock(mutex_);
  return peer_;
}

PeerChannel::~PeerChannel() {
  {
    const std::lock_guard lock(life_->mutex);
    life_->over = true;
  }
  std::shared_ptr<Peer> last;
  {
    const std::lock_guard lock(mutex_);
    last = std::exchange(peer_, nullptr);
  }
  // Its input waits for a call-back that is under way, which uses this object.
  last.reset();
}

bool PeerChannel::attached() const { return peer() != nullptr; }

void PeerChannel::attach(host::Fd fd, std::function<void()> left) {
  detach();
  auto out = fd.duplicate();
  // Posted: the input that tells of its end cannot be destroyed meanwhile, not even by a reference that is let go.
  auto ended = [this, life = life_, number = ++attached_, left = std::move(left)] {
    loop_.post([this, life, number, left] {
      const std::lock_guard lock(life->mutex);
      if (life->over || attached_ != number) return;
      detach();
      if (left) left();
    });
  };
  auto comes = std::make_shared<Peer>(loop_, std::move(fd), std::move(out), std::move(ended));
  const std::lock_guard sink_lock(sink_mutex_);
  {
    const std::lock_guard lock(mutex_);
    peer_ = comes;
  }
  give_sink(*comes);
}

void PeerChannel::detach() {
  std::shared_ptr<Peer> leaves;
  {
    const std::lock_guard lock(mutex_);
    leaves = std::exchange(peer_, nullptr);
  }
  if (!leaves) return;
  leaves->input.set_sink(nullptr);
  leaves->output.set_ready({});
  leaves->output.abandon();
  leaves.reset();
  // It may have been held back by who has left.
  const std::lock_guard sink_lock(sink_mutex_);
  if (sink_ != nullptr) sink_->output_ready();
}

void PeerChannel::give_sink(Peer& peer) {
  peer.input.set_sink(sink_);
  peer.output.set_ready(sink_ == nullptr ? std::function<void()>() : [sink = sink_] { sink->output_ready(); });
}

bool PeerChannel::write(std::span<const u8> bytes) {
  const auto now = peer();
  return now == nullptr || now->output.write(bytes);
}

void PeerChannel::flush() {
  if (const auto now = peer()) now->output.flush();
}

void PeerChannel::set_sink(ByteSink* sink) {
  const std::lock_guard sink_lock(sink_mutex_);
  sink_ = sink;
  if (const auto now = peer()) give_sink(*now);
}

void PeerChannel::resume_input() {
  if (const auto now = peer()) now->input.resume();
}

}  // namespace vireo::chardev
