#include "net/socket/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "net/offload/segment.h"
#include "net/socket/framing.h"
#include "net/thread/gate.h"
#include "net/thread/inbox.h"

namespace vireo::net {
namespace {

/// What waits for the peer to take it; beyond, the guest waits.
constexpr std::size_t kOutLimit = 256 * kKiB;
/// How often one readiness reads, so that the thread's other work is done as well.
constexpr unsigned kReads = 16;

class SocketBackend final : public Backend {
 public:
  SocketBackend(NetThread& thread, bool datagrams) : loop_(thread.loop()), datagrams_(datagrams) {
    wake_ = loop_.make_timer([this] { serve(); });
  }
  ~SocketBackend() override;

  Result<> open(const SocketOptions& options);

  Offloads send_offloads() const override { return {.checksum = true, .tso4 = true, .tso6 = true, .ecn = true}; }
  void attach(Port& port) override { gate_.attach(port); }
  void detach() override { gate_.detach(); }
  void set_receive_offloads(Offloads) override {}
  void use_pairs(unsigned) override {}
  std::size_t send(unsigned pair, std::span<const Frame> frames) override;
  void wake() override { wake_->arm(0); }
  bool link_up() const override {
    const std::lock_guard lock(mutex_);
    return static_cast<bool>(peer_);
  }

 private:
  void listen_ready();
  void peer_ready(u32 events);
  void connected(host::Fd peer);
  void disconnect();
  void listen_again(bool on);
  void serve();
  bool write_out();
  void send_datagram(std::span<const u8> frame);
  void watch();

  host::Loop& loop_;
  const bool datagrams_;
  Gate gate_;
  Inbox inbox_{gate_};
  std::unique_ptr<host::Loop::Timer> wake_;

  // The network thread's
  host::Fd listener_;
  FrameReader reader_;
  std::array<u8, 128 * kKiB> input_;

  mutable std::mutex mutex_;  ///< guards what follows
  std::unique_ptr<host::Loop::Watcher> listener_watcher_;
  host::Fd peer_;
  std::unique_ptr<host::Loop::Watcher> peer_watcher_;
  std::vector<u8> out_;  ///< of a stream: not written
  bool stuck_ = false;   ///< the peer takes nothing now; EPOLLOUT is waited for
  std::array<u8, kMaxFrame> frame_;
};

Result<> SocketBackend::open(const SocketOptions& options) {
  if (options.wire == Wire::Listen) {
    TRY_ASSIGN(listener_, listen_at(options.address));
    listener_watcher_ = loop_.watch(listener_.get(), [this](u32) { listen_ready(); });
    return listener_watcher_->set_events(EPOLLIN);
  }
  TRY_ASSIGN(auto peer, datagrams_ ? datagrams_between(options.local, options.address) : connect_to(options.address));
  connected(std::move(peer));
  return {};
}

SocketBackend::~SocketBackend() {
  // Each waits for its call-back, which finds everything else still there. The listener's may have made another peer.
  const auto end = [this](std::unique_ptr<host::Loop::Watcher>& which) {
    std::unique_ptr<host::Loop::Watcher> watcher;
    const std::lock_guard lock(mutex_);
    watcher.swap(which);
    return watcher;
  };
  end(peer_watcher_).reset();
  end(listener_watcher_).reset();
  end(peer_watcher_).reset();
  wake_.reset();
}

// Life of the wire

void SocketBackend::listen_ready() {
  host::Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!peer) return;
  const int on = 1;
  ::setsockopt(peer.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // of a Unix socket it fails, and is not needed
  listen_again(false);
  connected(std::move(peer));
  gate_.pass([](Port& port) { port.link_changed(true); });
}

void SocketBackend::connected(host::Fd peer) {
  reader_.reset();
  const std::lock_guard lock(mutex_);
  peer_ = std::move(peer);
  peer_watcher_ = loop_.watch(peer_.get(), [this](u32 events) { peer_ready(events); });
  watch();
}

void SocketBackend::disconnect() {
  {
    const std::lock_guard lock(mutex_);
    peer_watcher_.reset();
    peer_ = {};
    out_.clear();
    stuck_ = false;
  }
  gate_.pass([](Port& port) { port.link_changed(false); });
  wake();  // what waited for the peer is not sent any more
  listen_again(true);
}

void SocketBackend::listen_again(bool on) {
  const std::lock_guard lock(mutex_);
  if (listener_watcher_) (void)listener_watcher_->set_events(on ? u32{EPOLLIN} : 0u);
}

void SocketBackend::watch() {
  if (peer_watcher_) {
    (void)peer_watcher_->set_events((inbox_.blocked() ? 0u : u32{EPOLLIN}) | (stuck_ ? u32{EPOLLOUT} : 0u));
  }
}

// To the peer

std::size_t SocketBackend::send(unsigned, std::span<const Frame> frames) {
  const std::lock_guard lock(mutex_);
  if (!peer_) return frames.size();  // as on a wire with nobody at its end
  std::size_t taken = 0;
  for (; taken < frames.size() && !stuck_; ++taken) {
    const auto& frame = frames[taken];
    std::size_t size = 0;
    for (const auto& part : frame.parts) {
      if (part.iov_len > frame_.size() - size) break;
      std::memcpy(frame_.data() + size, part.iov_base, part.iov_len);
      size += part.iov_len;
    }
    if (size != frame.size) continue;
    finish(frame.header, std::span(frame_.data(), size), [this](std::span<const u8> finished) {
      if (datagrams_) {
        send_datagram(finished);
      } else {
        append_framed(out_, finished);
      }
    });
    if (out_.size() >= kOutLimit) write_out();
  }
  write_out();
  watch();
  // The peer has taken it all meanwhile: it will not become ready again for those that are left.
  if (taken < frames.size() && !stuck_) wake();
  return taken;
}

// True: nothing is left.
bool SocketBackend::write_out() {
  std::size_t done = 0;
  while (done < out_.size()) {
    const ssize_t now = ::send(peer_.get(), out_.data() + done, out_.size() - done, MSG_NOSIGNAL);
    if (now < 0 && errno == EINTR) continue;
    if (now < 0 && errno != EAGAIN) done = out_.size();  // the reading side will learn that the peer has gone
    if (now < 0) break;
    done += static_cast<std::size_t>(now);
  }
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(done));
  stuck_ = !out_.empty();
  return !stuck_;
}

void SocketBackend::send_datagram(std::span<const u8> frame) {
  // A Unix socket whose peer is slow says so, and UDP drops by itself. What does not go now is lost, as on a wire.
  while (::send(peer_.get(), frame.data(), frame.size(), MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

// From the peer

void SocketBackend::peer_ready(u32 events) {
  const int fd = [this] {
    const std::lock_guard lock(mutex_);
    return peer_.get();
  }();
  bool room = false;
  if ((events & EPOLLOUT) != 0) {
    const std::lock_guard lock(mutex_);
    room = write_out();
  }
  if (room) gate_.pass([](Port& port) { port.serve(); });
  const FrameSink sink = [this](std::span<const u8> frame) { inbox_.add({}, frame); };
  for (unsigned i = 0; i < kReads && !inbox_.blocked(); ++i) {
    const ssize_t size = ::read(fd, input_.data(), input_.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || datagrams_)) break;  // ECONNREFUSED: the peer is not there yet
    if (size <= 0 && !datagrams_) return disconnect();
    const auto bytes = std::span<const u8>(input_).first(static_cast<std::size_t>(size));
    if (datagrams_) {
      if (bytes.size() >= kMinFrame && bytes.size() <= kMaxFrame) sink(bytes);
    } else if (!reader_.feed(bytes, sink)) {
      return disconnect();
    }
    inbox_.deliver();
    if (!datagrams_ && bytes.size() < input_.size()) break;
  }
  const std::lock_guard lock(mutex_);
  watch();
}

void SocketBackend::serve() {
  gate_.pass([](Port& port) { port.serve(); });
  inbox_.deliver(true);
  const std::lock_guard lock(mutex_);
  watch();
}

}  // namespace

Result<std::unique_ptr<Backend>> make_socket_backend(NetThread& thread, const SocketOptions& options) {
  auto backend = std::make_unique<SocketBackend>(thread, options.wire == Wire::Datagram);
  TRY(backend->open(options));
  return backend;
}

}  // namespace vireo::net
