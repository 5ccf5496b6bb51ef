#include "net/tap/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>

#include "net/thread/gate.h"
#include "net/thread/inbox.h"

namespace vireo::net {

const unsigned long kTapRequest = TUNSETOFFLOAD;

namespace {

/// How many frames one readiness reads, so that the thread's other work is done as well.
constexpr unsigned kReads = 64;
constexpr std::size_t kMaxParts = 1024;  ///< UIO_MAXIOV

class TapBackend final : public Backend {
 public:
  explicit TapBackend(NetThread& thread) : loop_(thread.loop()) {}
  Result<> open(const TapOptions& options);

  Offloads send_offloads() const override { return {.checksum = true, .tso4 = true, .tso6 = true, .ecn = true}; }
  void attach(Port& port) override { gate_.attach(port); }
  void detach() override { gate_.detach(); }
  void set_receive_offloads(Offloads offloads) override;
  void use_pairs(unsigned) override {}
  std::size_t send(unsigned pair, std::span<const Frame> frames) override;
  void wake() override { wake_->arm(0); }
  bool link_up() const override { return true; }

 private:
  Result<> check_device(const std::string& name);
  void ready(u32 events);
  void serve();
  void watch(std::optional<bool> stuck = {});

  host::Loop& loop_;
  host::Fd fd_;
  Gate gate_;
  Inbox inbox_{gate_};
  std::array<u8, kMaxFrame> input_;  ///< the network thread's
  std::mutex watch_mutex_;
  bool stuck_ = false;  ///< the device takes nothing now; watch_mutex_ guards it
  std::unique_ptr<host::Loop::Watcher> watcher_;
  std::unique_ptr<host::Loop::Timer> wake_;
};

Result<> TapBackend::open(const TapOptions& options) {
  if (options.fd >= 0) {
    fd_ = host::Fd(::fcntl(options.fd, F_DUPFD_CLOEXEC, 0));
    if (!fd_) return fail(ErrorKind::Usage, "fd={} is not an open descriptor", options.fd);
    if (::fcntl(fd_.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "cannot use the descriptor");
  } else {
    fd_ = host::Fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!fd_) return fail_errno(errno, "cannot open /dev/net/tun");
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    std::strncpy(request.ifr_name, options.ifname.c_str(), sizeof request.ifr_name - 1);
    if (::ioctl(fd_.get(), TUNSETIFF, &request) != 0) {
      const int error = errno;
      return fail(error == EPERM ? ErrorKind::Denied : ErrorKind::Failed,
                  "cannot have tap device {}: {}; 'ip tuntap add dev NAME mode tap user USER' makes one for a user",
                  options.ifname.empty() ? "(any)" : options.ifname, std::strerror(error));
    }
  }
  TRY(check_device(options.ifname));
  const int header = sizeof(VirtioNetHdr);
  if (::ioctl(fd_.get(), TUNSETVNETHDRSZ, &header) != 0) return fail_errno(errno, "cannot set up the tap device");
  set_receive_offloads({});
  wake_ = loop_.make_timer([this] { serve(); });
  watcher_ = loop_.watch(fd_.get(), [this](u32 events) { ready(events); });
  return watcher_->set_events(EPOLLIN);
}

Result<> TapBackend::check_device(const std::string& name) {
  ifreq request{};
  if (::ioctl(fd_.get(), TUNGETIFF, &request) != 0) return fail(ErrorKind::Usage, "the descriptor is no tap device");
  if ((request.ifr_flags & IFF_TAP) == 0 || (request.ifr_flags & IFF_NO_PI) == 0 ||
      (request.ifr_flags & IFF_VNET_HDR) == 0) {
    return fail(ErrorKind::Usage, "{} was not opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", request.ifr_name);
  }
  if (!name.empty() && name != request.ifr_name) {
    return fail(ErrorKind::Usage, "the descriptor is that of {}, not of {}", request.ifr_name, name);
  }
  return {};
}

void TapBackend::set_receive_offloads(Offloads offloads) {
  unsigned flags = 0;
  if (offloads.checksum) flags |= TUN_F_CSUM;
  if (offloads.checksum && offloads.tso4) flags |= TUN_F_TSO4;
  if (offloads.checksum && offloads.tso6) flags |= TUN_F_TSO6;
  if (offloads.ecn && (flags & (TUN_F_TSO4 | TUN_F_TSO6)) != 0) flags |= TUN_F_TSO_ECN;
  ::ioctl(fd_.get(), TUNSETOFFLOAD, static_cast<unsigned long>(flags));
}

std::size_t TapBackend::send(unsigned, std::span<const Frame> frames) {
  std::array<iovec, kMaxParts> parts;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto& frame = frames[i];
    if (frame.parts.size() >= kMaxParts) continue;
    VirtioNetHdr header = frame.header;
    header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    parts[0] = {&header, sizeof header};
    std::copy(frame.parts.begin(), frame.parts.end(), parts.begin() + 1);
    ssize_t written = 0;
    do {
      written = ::writev(fd_.get(), parts.data(), static_cast<int>(frame.parts.size() + 1));
    } while (written < 0 && errno == EINTR);
    // What the host refuses otherwise (EIO: the interface is down, EINVAL: a header that makes no sense) is lost.
    if (written < 0 && errno == EAGAIN) {
      watch(true);
      return i;
    }
  }
  return frames.size();
}

/// What is waited for. Both threads come here, and the last to come has seen everything.
void TapBackend::watch(std::optional<bool> stuck) {
  const std::lock_guard lock(watch_mutex_);
  stuck_ = stuck.value_or(stuck_);
  (void)watcher_->set_events((inbox_.blocked() ? 0u : u32{EPOLLIN}) | (stuck_ ? u32{EPOLLOUT} : 0u));
}

void TapBackend::ready(u32 events) {
  if ((events & EPOLLOUT) != 0) {
    watch(false);
    gate_.pass([](Port& port) { port.serve(); });
  }
  for (unsigned i = 0; i < kReads && !inbox_.blocked(); ++i) {
    VirtioNetHdr header;
    const iovec parts[] = {{&header, sizeof header}, {input_.data(), input_.size()}};
    const ssize_t size = ::readv(fd_.get(), parts, 2);
    if (size < 0 && errno == EINTR) continue;
    if (size < static_cast<ssize_t>(sizeof header + kMinFrame)) break;
    inbox_.add(header, std::span<const u8>(input_).first(static_cast<std::size_t>(size) - sizeof header));
  }
  inbox_.deliver();
  watch();
}

void TapBackend::serve() {
  gate_.pass([](Port& port) { port.serve(); });
  inbox_.deliver(true);
  watch();
}

}  // namespace

Result<std::unique_ptr<Backend>> make_tap_backend(NetThread& thread, const TapOptions& options) {
  auto backend = std::make_unique<TapBackend>(thread);
  TRY(backend->open(options));
  return backend;
}

}  // namespace vireo::net
