// Where a socket is: "127.0.0.1:1234", "[::1]:1234", ":1234", "unix:/run/wire".
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "base/result.h"
#include "host/fd.h"

namespace vireo::net {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  std::string text;  ///< as it was written

  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  /// Numbers, no names; errors are of kind Usage.
  static Result<SocketAddress> parse(const std::string& text);
};

/// Sockets that do not block. Errors say what of `address` failed.
Result<host::Fd> listen_at(const SocketAddress& address);
Result<host::Fd> connect_to(const SocketAddress& address);
/// Datagrams between two places and nobody else.
Result<host::Fd> datagrams_between(const SocketAddress& local, const SocketAddress& peer);

}  // namespace vireo::net
