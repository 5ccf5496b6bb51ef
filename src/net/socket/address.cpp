#include "net/socket/address.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace vireo::net {
namespace {

Result<SocketAddress> parse_unix(const std::string& text, const std::string& path) {
  SocketAddress address{.storage = {}, .size = sizeof(sockaddr_un), .text = text};
  auto& place = reinterpret_cast<sockaddr_un&>(address.storage);
  if (path.empty() || path.size() >= sizeof place.sun_path) {
    return fail(ErrorKind::Usage, "\"{}\" is not a path of up to {} characters", path, sizeof place.sun_path - 1);
  }
  place.sun_family = AF_UNIX;
  std::memcpy(place.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<host::Fd> make_socket(int family, int type) {
  host::Fd fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "cannot make a socket");
  return fd;
}

/// A socket file that nobody listens at any more is in the way of a new one.
void remove_stale(const SocketAddress& address) {
  if (address.family() != AF_UNIX) return;
  const char* path = reinterpret_cast<const sockaddr_un&>(address.storage).sun_path;
  struct stat status{};
  if (::lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    const host::Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), address.get(), address.size) == 0 || errno == EAGAIN) return;
  }
  ::unlink(path);
}

Result<> bind_to(const host::Fd& fd, const SocketAddress& address) {
  const int on = 1;
  if (address.family() != AF_UNIX) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  remove_stale(address);
  if (::bind(fd.get(), address.get(), address.size) != 0) {
    return fail_errno(errno, fmt::format("cannot listen at {}", address.text));
  }
  return {};
}

}  // namespace

Result<SocketAddress> SocketAddress::parse(const std::string& text) {
  if (text.starts_with("unix:")) return parse_unix(text, text.substr(5));
  const auto colon = text.rfind(':');
  const auto bad = [&] {
    return fail(ErrorKind::Usage, "\"{}\" is no address; write NUMBERS:PORT, [IPV6]:PORT or unix:PATH", text);
  };
  if (colon == text.npos) return bad();
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  if (host.empty()) host = "0.0.0.0";
  addrinfo* found = nullptr;
  const auto port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5 || port == "0" ||
      ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    return bad();
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  SocketAddress address{.storage = {}, .size = found->ai_addrlen, .text = text};
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  return address;
}

Result<host::Fd> listen_at(const SocketAddress& address) {
  TRY_ASSIGN(auto fd, make_socket(address.family(), SOCK_STREAM));
  TRY(bind_to(fd, address));
  if (::listen(fd.get(), 1) != 0) return fail_errno(errno, fmt::format("cannot listen at {}", address.text));
  return fd;
}

Result<host::Fd> connect_to(const SocketAddress& address) {
  host::Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "cannot make a socket");
  if (::connect(fd.get(), address.get(), address.size) != 0) {
    return fail_errno(errno, fmt::format("cannot connect to {}", address.text));
  }
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  const int on = 1;
  if (address.family() != AF_UNIX) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

Result<host::Fd> datagrams_between(const SocketAddress& local, const SocketAddress& peer) {
  if (local.family() != peer.family()) {
    return fail(ErrorKind::Usage, "{} and {} are not of one kind", local.text, peer.text);
  }
  TRY_ASSIGN(auto fd, make_socket(local.family(), SOCK_DGRAM));
  TRY(bind_to(fd, local));
  // A peer by a path need not be there yet; where it is, nobody else is heard.
  if (::connect(fd.get(), peer.get(), peer.size) != 0) {
    return fail_errno(errno, fmt::format("cannot reach {}", peer.text));
  }
  return fd;
}

}  // namespace vireo::net
