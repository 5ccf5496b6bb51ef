#include "chardev/stream/input.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace vireo::chardev {

StreamInput::StreamInput(host::Loop& loop, host::Fd fd, std::function<bool(u8)> filter, std::function<void()> ended)
    : fd_(std::move(fd)), filter_(std::move(filter)), on_end_(std::move(ended)), ended_(!fd_) {
  if (fd_) watcher_ = loop.watch(fd_.get(), [this](u32) { serve(); });
  wake_ = loop.make_timer([this] { serve(); });
  wake_->arm(0);
}

StreamInput::~StreamInput() = default;

void StreamInput::set_sink(ByteSink* sink) {
  {
    const std::lock_guard lock(sink_mutex_);
    sink_ = sink;
  }
  wake_->arm(0);
}

void StreamInput::resume() { wake_->arm(0); }

void StreamInput::serve() {
  deliver();
  if (!ended_ && queue_.size() < kReadAhead) {
    read_more();
    deliver();
    if (ended_ && on_end_) on_end_();
  }
  const bool more = !ended_ && queue_.size() < kReadAhead;
  if (pollable_ && watcher_ && !watcher_->set_events(more ? u32{EPOLLIN} : 0)) pollable_ = false;
  if (more && !pollable_) wake_->arm(0);
}

void StreamInput::read_more() {
  // The descriptor may be in blocking mode.
  pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 0) <= 0) return;
  std::array<u8, kReadAhead> bytes;
  const ssize_t count = ::read(fd_.get(), bytes.data(), kReadAhead - queue_.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) {
    ended_ = true;
    return;
  }
  for (const u8 byte : std::span(bytes).first(static_cast<std::size_t>(count))) {
    if (!filter_ || filter_(byte)) queue_.push_back(byte);
  }
}

void StreamInput::deliver() {
  const std::lock_guard lock(sink_mutex_);
  std::size_t done = 0;
  while (sink_ != nullptr && done < queue_.size()) {
    const std::size_t count = std::min(sink_->room(), queue_.size() - done);
    if (count == 0) break;
    sink_->receive(std::span<const u8>(queue_).subspan(done, count));
    done += count;
  }
  queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace vireo::chardev
