#include "chardev/stream/output.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/log.h"

namespace vireo::chardev {
namespace {

/// How long the first byte waits for company.
constexpr u64 kBatchNs = 1'000'000;
/// A batch of this size is worth writing at once.
constexpr std::size_t kBatchBytes = 4096;
/// PIPE_BUF: what a pipe that polls as writable takes without blocking.
constexpr std::size_t kChunk = 4096;
constexpr auto kLongestWait = std::chrono::milliseconds(100);
constexpr int kFlushPatienceMs = 10'000, kFlushDropPatienceMs = 300;
/// WhenStuck::Drop: how long the reader may take nothing.
constexpr u64 kStuckNs = 1'000'000'000;

bool writable(int fd, int timeout_ms) {
  pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
  int count = 0;
  do {
    count = ::poll(&wait, 1, timeout_ms);
  } while (count < 0 && errno == EINTR);
  return count > 0;
}

}  // namespace

StreamOutput::StreamOutput(host::Loop& loop, host::Fd fd, std::function<void()> ready, WhenStuck when_stuck)
    : loop_(loop), fd_(std::move(fd)), when_stuck_(when_stuck), broken_(!fd_), ready_(std::move(ready)) {
  struct stat status{};
  socket_ = fd_ && ::fstat(fd_.get(), &status) == 0 && S_ISSOCK(status.st_mode);
  if (fd_) watcher_ = loop.watch(fd_.get(), [this](u32) { serve(); });
  timer_ = loop.make_timer([this] { serve(); });
}

StreamOutput::~StreamOutput() {
  flush();
  const std::lock_guard lock(io_mutex_);
  closing_ = true;
}

void StreamOutput::set_ready(std::function<void()> ready) {
  const std::lock_guard lock(ready_mutex_);
  ready_ = std::move(ready);
}

bool StreamOutput::write(std::span<const u8> bytes) {
  std::unique_lock lock(mutex_);
  const auto fits = [this] { return queued_ < kHigh || broken_ || dropping_; };
  if (!fits() && !loop_.on_thread()) space_.wait_for(lock, kLongestWait, fits);
  if (broken_ || dropping_ || bytes.empty()) return true;
  const std::size_t before = queued_;
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  queued_ += bytes.size();
  // While something is queued already, serve() is on its way.
  if (queued_ >= kBatchBytes && before < kBatchBytes) {
    timer_->arm(0);
  } else if (before == 0) {
    timer_->arm(host::Loop::now_ns() + kBatchNs);
  }
  if (before == 0) progress_ns_ = host::Loop::now_ns();
  if (queued_ <= kLow) return true;
  held_back_ = true;
  return false;
}

// Bytes written; 0 with `would_block` unset is an error.
std::size_t StreamOutput::write_once(std::span<const u8> bytes, bool& would_block) {
  if (would_block = !writable(fd_.get(), 0); would_block) return 0;
  const std::size_t size = std::min(bytes.size(), kChunk);
  ssize_t written = 0;
  do {
    written = socket_ ? ::send(fd_.get(), bytes.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL)
                      : ::write(fd_.get(), bytes.data(), size);
  } while (written < 0 && errno == EINTR);
  if (written > 0) return static_cast<std::size_t>(written);
  would_block = written < 0 && errno == EAGAIN;
  return 0;
}

// Writes until nothing is left (true) or the descriptor takes no more. io_mutex_ is held.
bool StreamOutput::write_some() {
  for (;;) {
    if (written_ == writing_.size()) {
      writing_.clear();
      written_ = 0;
      const std::lock_guard lock(mutex_);
      if (pending_.empty()) return true;
      writing_.swap(pending_);
    }
    bool would_block = false;
    const std::size_t count = write_once(std::span<const u8>(writing_).subspan(written_), would_block);
    if (would_block) return false;
    const int error = errno;
    const std::lock_guard lock(mutex_);
    if (count == 0) {
      broken_ = true;
      pending_.clear();
      writing_.clear();
      queued_ = written_ = 0;
      if (error != EPIPE && error != EIO) log::warning("serial output is lost from here on: {}", std::strerror(error));
    }
    if (count != 0) progress_ns_ = host::Loop::now_ns();
    written_ += count;
    queued_ -= count;
    space_.notify_all();
  }
}

// io_mutex_ is held, and the descriptor takes nothing.
void StreamOutput::give_up_if_stuck() {
  if (when_stuck_ == WhenStuck::Wait) return;
  const std::lock_guard lock(mutex_);
  const u64 until = progress_ns_ + kStuckNs;
  if (host::Loop::now_ns() < until) return timer_->arm(until);
  dropping_ = true;
  pending_.clear();
  writing_.clear();
  queued_ = written_ = 0;
  space_.notify_all();
}

void StreamOutput::serve() {
  {
    const std::lock_guard lock(io_mutex_);
    if (closing_) return;
    bool done = !dropping_ || writable(fd_.get(), 0);
    if (done) {
      {
        const std::lock_guard state(mutex_);
        dropping_ = false;
      }
      done = write_some();
      if (!done) give_up_if_stuck();
    }
    if (watcher_ && !watcher_->set_events(done ? 0 : u32{EPOLLOUT})) timer_->arm(host::Loop::now_ns() + 10 * kBatchNs);
  }
  {
    const std::lock_guard lock(mutex_);
    if (!held_back_ || queued_ > kLow / 2) return;
    held_back_ = false;
  }
  const std::lock_guard lock(ready_mutex_);
  if (ready_) ready_();
}

void StreamOutput::abandon() {
  const std::lock_guard lock(io_mutex_);
  const std::lock_guard state(mutex_);
  broken_ = true;
  pending_.clear();
  writing_.clear();
  queued_ = written_ = 0;
  space_.notify_all();
}

void StreamOutput::flush() {
  {
    const std::lock_guard lock(io_mutex_);
    while (!write_some()) {
      const bool drop = when_stuck_ == WhenStuck::Drop;
      if (writable(fd_.get(), drop ? kFlushDropPatienceMs : kFlushPatienceMs)) continue;
      if (!drop) log::warning("nobody takes the serial output; the rest of it is lost");
      break;
    }
  }
  timer_->arm(0);  // the sink may be waiting to hear that there is space
}

}  // namespace vireo::chardev
