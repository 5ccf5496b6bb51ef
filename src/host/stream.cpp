#include "host/stream.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace vireo::host {
namespace {

constexpr std::size_t kMaxPieces = 64;  ///< of one call

// Tried after 10 s of silence, three times, 5 s apart; what was sent is acknowledged within 30 s.
void notice_lost_peers(const Fd& socket) {
  const auto set = [&](int level, int name, int value) {
    ::setsockopt(socket.get(), level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

}  // namespace

Result<std::vector<StreamAddress>> find_streams(const std::string& host, u16 port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); error != 0) {
    return fail(ErrorKind::NotFound, "the address of \"{}\" cannot be found: {}", host, ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  std::vector<StreamAddress> addresses;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    auto& address = addresses.emplace_back();
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
  }
  return addresses;
}

Result<StreamAddress> unix_stream(const std::string& path) {
  StreamAddress address{.storage = {}, .size = sizeof(sockaddr_un)};
  auto& place = reinterpret_cast<sockaddr_un&>(address.storage);
  if (path.empty() || path.size() >= sizeof place.sun_path) {
    return fail(ErrorKind::Usage, "the path of a socket has 1 to {} bytes, '{}' has {}", sizeof place.sun_path - 1,
                path, path.size());
  }
  place.sun_family = AF_UNIX;
  std::memcpy(place.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<Fd> start_connecting(const StreamAddress& address) {
  Fd socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "cannot make a socket");
  if (address.storage.ss_family != AF_UNIX) notice_lost_peers(socket);
  const auto* to = reinterpret_cast<const sockaddr*>(&address.storage);
  if (::connect(socket.get(), to, address.size) != 0 && errno != EINPROGRESS) {
    return fail_errno(errno, "cannot connect");
  }
  return socket;
}

int connection_error(const Fd& socket) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

Moved send(const Fd& socket, std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = std::min(pieces.size(), kMaxPieces);
  ssize_t count = 0;
  do {
    count = ::sendmsg(socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return {.count = 0, .ended = errno != EAGAIN};
  return {.count = static_cast<std::size_t>(count), .ended = false};
}

Result<Wake> Wake::create() {
  Wake made;
  made.fd_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made.fd_) return fail_errno(errno, "cannot make an eventfd");
  return made;
}

void Wake::ring() const {
  const u64 one = 1;
  [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
}

void Wake::clear() const {
  u64 count = 0;
  [[maybe_unused]] const auto got = ::read(fd_.get(), &count, sizeof count);
}

Readiness sleep_on(const Fd& socket, Readiness wanted, const Wake& wake, int milliseconds) {
  std::array<pollfd, 2> waited{};
  waited[0] = {wake.fd().get(), POLLIN, 0};
  const int events = (wanted.read ? POLLIN : 0) | (wanted.write ? POLLOUT : 0);
  waited[1] = {socket.get(), static_cast<short>(events), 0};  // poll() passes over a negative descriptor
  if (::poll(waited.data(), waited.size(), milliseconds) <= 0) return {};
  if (waited[0].revents != 0) wake.clear();
  const bool broken = (waited[1].revents & (POLLERR | POLLHUP)) != 0;
  return {.read = broken || (waited[1].revents & POLLIN) != 0, .write = broken || (waited[1].revents & POLLOUT) != 0};
}

}  // namespace vireo::host
