#include "net/user/user.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>

#include <libslirp.h>

#include "base/log.h"
#include "net/offload/checksum.h"
#include "net/offload/packet.h"
#include "net/offload/segment.h"
#include "net/thread/gate.h"
#include "net/thread/inbox.h"
#include "net/user/addresses.h"
#include "net/user/poll_set.h"

namespace vireo::net {
namespace {

/// For all of libslirp.
std::mutex slirp_mutex;

/// The largest packets libslirp has (its IF_MTU_MAX).
constexpr std::size_t kSlirpMtu = 65520;
/// What SYNs are raised to. libslirp tells of a window that opens again once two segments fit, so that a window of 64
/// KiB has to be a few of them.
constexpr u16 kLargeSegment = 16 * 1024;
constexpr u64 kNsPerMs = 1'000'000;
/// A call-back of libslirp's timers asks for the time in this unit.
constexpr u32 kNoTimeout = ~u32{0};
/// libslirp never asks for less often than this: it means nothing.
constexpr u32 kIdleTimeout = 1000;

u32 to_epoll(int events) {
  u32 result = 0;
  if ((events & SLIRP_POLL_IN) != 0) result |= EPOLLIN;
  if ((events & SLIRP_POLL_OUT) != 0) result |= EPOLLOUT;
  if ((events & SLIRP_POLL_PRI) != 0) result |= EPOLLPRI;
  return result;
}

int from_epoll(u32 events) {
  int result = 0;
  if ((events & EPOLLIN) != 0) result |= SLIRP_POLL_IN;
  if ((events & EPOLLOUT) != 0) result |= SLIRP_POLL_OUT;
  if ((events & EPOLLPRI) != 0) result |= SLIRP_POLL_PRI;
  if ((events & EPOLLERR) != 0) result |= SLIRP_POLL_ERR;
  if ((events & EPOLLHUP) != 0) result |= SLIRP_POLL_HUP;
  return result;
}

class SlirpUser final : public User {
 public:
  SlirpUser(NetThread& thread, std::size_t mtu) : loop_(thread.loop()), mtu_(mtu) {}
  ~SlirpUser() override;
  Result<> open(const UserOptions& options);

  Offloads send_offloads() const override { return {.checksum = true, .tso4 = true, .tso6 = true, .ecn = true}; }
  void attach(Port& port) override { gate_.attach(port); }
  void detach() override { gate_.detach(); }
  void set_receive_offloads(Offloads offloads) override;
  void use_pairs(unsigned) override {}
  std::size_t send(unsigned pair, std::span<const Frame> frames) override;
  void wake() override { wake_->arm(0); }
  bool link_up() const override { return true; }
  std::vector<u8> save() const override;
  Result<> load(std::span<const u8> bytes) override;
  Result<> add_forward(const Forward& forward) override;
  Result<> remove_forward(const Forward& forward) override;

 private:
  struct Timer {
    SlirpTimerId id;
    void* argument;
    std::unique_ptr<host::Loop::Timer> timer;
  };
  static const SlirpCb& callbacks();
  static SlirpUser& self(void* opaque) { return *static_cast<SlirpUser*>(opaque); }

  void take(const Frame& frame);
  void deliver(std::span<const u8> frame);
  void deliver_large(std::span<const u8> frame);
  void sockets_ready();
  void expired(const Timer& timer);
  void serve();
  void let_time_pass();
  void before_sleep();

  host::Loop& loop_;
  const std::size_t mtu_;
  Slirp* slirp_ = nullptr;
  in_addr first_guest_{};
  Gate gate_;
  Inbox inbox_{gate_};

  // Under slirp_mutex
  PollSet polls_;
  Offloads offloads_;
  std::array<u8, kMaxFrame> buffer_;
  std::vector<u8> large_;
  std::vector<std::unique_ptr<Timer>> timers_;
  bool blocked_ = false;       ///< what polls_ was told of the inbox
  u64 ticked_ns_ = 0;          ///< when libslirp last looked at the clock
  u64 deadline_ns_ = ~u64{0};  ///< what tick_ is armed for

  std::unique_ptr<host::Loop::Timer> wake_, tick_;
  std::unique_ptr<host::Loop::Watcher> watcher_;
};

const SlirpCb& SlirpUser::callbacks() {
  static const SlirpCb calls = {
      .send_packet = [](const void* bytes, std::size_t size, void* opaque) -> ssize_t {
        self(opaque).deliver({static_cast<const u8*>(bytes), size});
        return static_cast<ssize_t>(size);
      },
      .guest_error = [](const char* text, void*) { log::debug("user network: {}", text); },
      .clock_get_ns = [](void*) { return static_cast<int64_t>(host::Loop::now_ns()); },
      .timer_new = nullptr,
      .timer_free = [](void*, void*) {},  // libslirp frees them only as it ends itself
      .timer_mod =
          [](void* timer, int64_t ms, void*) {
            static_cast<Timer*>(timer)->timer->arm(static_cast<u64>(std::max<int64_t>(ms, 0)) * kNsPerMs);
          },
      .register_poll_fd = [](int fd, void* opaque) { self(opaque).polls_.forget(fd); },
      .unregister_poll_fd = [](int fd, void* opaque) { self(opaque).polls_.forget(fd); },
      .notify = [](void*) {},  // before_sleep() follows every call anyway
      .init_completed = [](Slirp*, void*) {},
      .timer_new_opaque = [](SlirpTimerId id, void* argument, void* opaque) -> void* {
        auto& user = self(opaque);
        auto timer = std::make_unique<Timer>(Timer{id, argument, nullptr});
        timer->timer = user.loop_.make_timer([&user, made = timer.get()] { user.expired(*made); });
        return user.timers_.emplace_back(std::move(timer)).get();
      },
  };
  return calls;
}

Result<> SlirpUser::open(const UserOptions& options) {
  TRY_ASSIGN(const auto addresses, Addresses::of(options.network));
  TRY_ASSIGN(polls_, PollSet::create());
  SlirpConfig config{};
  config.version = 4;
  config.restricted = options.restrict_guest ? 1 : 0;
  config.in_enabled = true;
  config.vnetwork = addresses.network;
  config.vnetmask = addresses.mask;
  config.vhost = addresses.host;
  config.vdhcp_start = first_guest_ = addresses.first_guest;
  config.vnameserver = addresses.name_server;
  config.in6_enabled = options.ipv6;
  config.vprefix_addr6 = ipv6_address("fec0::");
  config.vprefix_len = 64;
  config.vhost6 = ipv6_address("fec0::2");
  config.vnameserver6 = ipv6_address("fec0::3");
  config.vhostname = options.hostname.empty() ? nullptr : options.hostname.c_str();
  config.if_mtu = config.if_mru = kSlirpMtu;
  {
    const std::lock_guard lock(slirp_mutex);
    slirp_ = ::slirp_new(&config, &callbacks(), this);
  }
  if (slirp_ == nullptr) return fail(ErrorKind::Failed, "the user network cannot be set up");
  wake_ = loop_.make_timer([this] { serve(); });
  tick_ = loop_.make_timer([this] { sockets_ready(); });
  watcher_ = loop_.watch(polls_.fd(), [this](u32) { sockets_ready(); });
  TRY(watcher_->set_events(EPOLLIN));
  for (const auto& forward : options.forwards) TRY(add_forward(forward));
  return {};
}

SlirpUser::~SlirpUser() {
  // Each waits for its call-back, which takes the mutex.
  watcher_.reset();
  tick_.reset();
  wake_.reset();
  for (const auto& timer : timers_) timer->timer.reset();
  if (slirp_ == nullptr) return;
  const std::lock_guard lock(slirp_mutex);
  ::slirp_cleanup(slirp_);
}

void SlirpUser::set_receive_offloads(Offloads offloads) {
  const std::lock_guard lock(slirp_mutex);
  offloads_ = offloads;
}

// Towards the host

std::size_t SlirpUser::send(unsigned, std::span<const Frame> frames) {
  {
    const std::lock_guard lock(slirp_mutex);
    let_time_pass();
    for (const auto& frame : frames) take(frame);
    let_time_pass();  // sends what waited for an address that is known now
    before_sleep();
  }
  inbox_.deliver();
  return frames.size();
}

void SlirpUser::take(const Frame& frame) {
  if (frame.size < kMinFrame || frame.size > buffer_.size()) return;
  std::size_t size = 0;
  for (const auto& part : frame.parts) {
    if (part.iov_len > buffer_.size() - size) return;
    std::memcpy(buffer_.data() + size, part.iov_base, part.iov_len);
    size += part.iov_len;
  }
  const std::span bytes(buffer_.data(), size);
  VirtioNetHdr header = frame.header;
  if (!finish_checksum(header, bytes)) return;  // first: a checksum that is none yet cannot be adjusted
  if (offloads_.tso4 || offloads_.tso6) {
    const auto packet = find_ip(bytes);
    if (packet && (packet->v6 ? offloads_.tso6 : offloads_.tso4)) raise_mss(bytes, kLargeSegment);
  }
  ::slirp_input(slirp_, bytes.data(), static_cast<int>(size));
}

// Towards the guest

void SlirpUser::deliver(std::span<const u8> frame) {
  if (frame.size() > kEthernetHeader + mtu_) return deliver_large(frame);
  inbox_.add({.flags = offloads_.checksum ? VIRTIO_NET_HDR_F_DATA_VALID : u8{0}}, frame);
}

void SlirpUser::deliver_large(std::span<const u8> frame) {
  const FrameSink sink = [this](std::span<const u8> part) { inbox_.add({}, part); };
  const auto packet = find_tcp(frame);
  if (!packet) {
    if (!fragment_ipv4(frame, mtu_, sink)) sink(frame);
    return;
  }
  const auto& [ip, payload] = *packet;
  const std::size_t headers = payload - ip.ip;
  if (headers >= mtu_) return;
  if (!(ip.v6 ? offloads_.tso6 : offloads_.tso4)) {
    segment_tcp(frame, mtu_ - headers, sink);
    return;
  }
  large_.assign(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(ip.end));
  store(large_.data() + ip.transport + tcp::kChecksum, pseudo_header_sum(frame, ip, ip.end - ip.transport));
  inbox_.add({.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
              .gso_type = ip.v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
              .hdr_len = static_cast<u16>(payload),
              .gso_size = static_cast<u16>(mtu_ - headers),
              .csum_start = static_cast<u16>(ip.transport),
              .csum_offset = tcp::kChecksum},
             large_);
}

// Time and sockets

/// Timers, and frames that wait inside libslirp; no sockets. Its idea of the time is that of its last look.
void SlirpUser::let_time_pass() {
  ticked_ns_ = host::Loop::now_ns();
  ::slirp_pollfds_poll(slirp_, 1, [](int, void*) { return 0; }, this);
}

/// Whatever was called: it may have changed what libslirp waits for.
void SlirpUser::before_sleep() {
  blocked_ = inbox_.blocked();
  polls_.begin();
  u32 timeout = kNoTimeout;
  const auto add = [](int fd, int events, void* opaque) {
    auto& user = self(opaque);
    user.polls_.want(fd, user.blocked_ ? 0 : to_epoll(events));
    return fd;
  };
  ::slirp_pollfds_fill(slirp_, &timeout, add, this);
  polls_.end();
  if (timeout >= kIdleTimeout) return;
  const u64 deadline = ticked_ns_ + timeout * kNsPerMs;
  if (deadline >= deadline_ns_) return;
  deadline_ns_ = deadline;
  tick_->arm(deadline);
}

void SlirpUser::sockets_ready() {
  {
    const std::lock_guard lock(slirp_mutex);
    ticked_ns_ = host::Loop::now_ns();
    if (deadline_ns_ <= ticked_ns_) deadline_ns_ = ~u64{0};
    polls_.collect();
    const auto ready = [](int fd, void* opaque) { return from_epoll(self(opaque).polls_.ready(fd)); };
    ::slirp_pollfds_poll(slirp_, 0, ready, this);
    before_sleep();
  }
  inbox_.deliver();
  if (inbox_.blocked()) {
    const std::lock_guard lock(slirp_mutex);
    before_sleep();
  }
}

void SlirpUser::expired(const Timer& timer) {
  {
    const std::lock_guard lock(slirp_mutex);
    ::slirp_handle_timer(slirp_, timer.id, timer.argument);
    let_time_pass();
    before_sleep();
  }
  inbox_.deliver();
}

void SlirpUser::serve() {
  gate_.pass([](Port& port) { port.serve(); });
  inbox_.deliver(true);
  const std::lock_guard lock(slirp_mutex);
  if (blocked_ || inbox_.blocked()) before_sleep();
}

// Forwards

Result<> SlirpUser::add_forward(const Forward& forward) {
  Endpoint guest = forward.guest;
  if (guest.any.sa_family == AF_INET && guest.v4.sin_addr.s_addr == 0) guest.v4.sin_addr = first_guest_;
  const auto size = [](const Endpoint& endpoint) -> socklen_t {
    return endpoint.any.sa_family == AF_INET6 ? sizeof endpoint.v6 : sizeof endpoint.v4;
  };
  const std::lock_guard lock(slirp_mutex);
  const int flags = (forward.udp ? SLIRP_HOSTFWD_UDP : 0) | SLIRP_HOSTFWD_V6ONLY;
  errno = 0;
  if (::slirp_add_hostxfwd(slirp_, &forward.host.any, size(forward.host), &guest.any, size(guest), flags) != 0) {
    const int error = errno;
    return fail(error == EACCES || error == EPERM ? ErrorKind::Denied : ErrorKind::Failed,
                "the host's port cannot be forwarded ({}): {}", to_string(forward), std::strerror(error));
  }
  before_sleep();
  return {};
}

Result<> SlirpUser::remove_forward(const Forward& forward) {
  const auto& host = forward.host;
  const socklen_t size = host.any.sa_family == AF_INET6 ? sizeof host.v6 : sizeof host.v4;
  const std::lock_guard lock(slirp_mutex);
  const int flags = (forward.udp ? SLIRP_HOSTFWD_UDP : 0) | SLIRP_HOSTFWD_V6ONLY;
  if (::slirp_remove_hostxfwd(slirp_, &host.any, size, flags) != 0) {
    return fail(ErrorKind::NotFound, "there is no such forward");
  }
  before_sleep();
  return {};
}

// State. libslirp's own format: a list of connections to command lines, which is empty here, a counter and the leases.
// It is checked before libslirp sees it, whose reader trusts what it reads.

constexpr std::size_t kLeases = 16, kLeaseSize = 2 + 6;
constexpr std::size_t kSlirpState = 1 + 2 + kLeases * kLeaseSize;

std::vector<u8> SlirpUser::save() const {
  ByteWriter out;
  out.put(static_cast<u32>(::slirp_state_version()));
  const std::lock_guard lock(slirp_mutex);
  const auto write = [](const void* bytes, std::size_t size, void* opaque) -> ssize_t {
    static_cast<ByteWriter*>(opaque)->put_bytes({static_cast<const u8*>(bytes), size});
    return static_cast<ssize_t>(size);
  };
  ::slirp_state_save(slirp_, write, &out);
  return std::move(out.bytes());
}

Result<> SlirpUser::load(std::span<const u8> bytes) {
  if (bytes.empty()) return {};  // another kind's
  ByteReader in(bytes);
  const auto version = in.take<u32>();
  auto state = in.take_bytes(kSlirpState);
  if (!in.finished() || version > static_cast<u32>(::slirp_state_version()) || version < 3 || state[0] != 0) {
    return fail(ErrorKind::Usage, "the state of its user network is not one that this program knows");
  }
  const auto read = [](void* to, std::size_t size, void* opaque) -> ssize_t {
    auto& rest = *static_cast<std::span<const u8>*>(opaque);
    size = std::min(size, rest.size());
    std::memcpy(to, rest.data(), size);
    rest = rest.subspan(size);
    return static_cast<ssize_t>(size);
  };
  const std::lock_guard lock(slirp_mutex);
  if (::slirp_state_load(slirp_, static_cast<int>(version), read, &state) < 0) {
    return fail(ErrorKind::Usage, "the state of its user network is not one that this program knows");
  }
  return {};
}

}  // namespace

Result<> check(const UserOptions& options) {
  TRY(Addresses::of(options.network));
  return {};
}

Result<std::unique_ptr<User>> User::create(NetThread& thread, const UserOptions& options) {
  auto user = std::make_unique<SlirpUser>(thread, options.mtu);
  TRY(user->open(options));
  return user;
}

}  // namespace vireo::net
