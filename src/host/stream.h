// Stream sockets as a client uses them: where they go, connecting, bytes both ways, and a sleep until something of this
// can go on. Nothing but sleep_on() and find_streams() waits.
//
// Source: tcp(7), unix(7), getaddrinfo(3).
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"
#include "host/socket.h"

namespace vireo::host {

/// A place to connect to, looked up already.
struct StreamAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;
};

/// Every address of a host, in the order they are to be tried; names are looked up, which may take seconds. NotFound.
Result<std::vector<StreamAddress>> find_streams(const std::string& host, u16 port);
Result<StreamAddress> unix_stream(const std::string& path);

/// A socket that is being connected: writable when that has come to an end. Small messages are not held back, and a
/// peer that went away without a word is noticed within half a minute.
Result<Fd> start_connecting(const StreamAddress& address);
/// 0 or an errno value, once it is writable.
int connection_error(const Fd& socket);

/// As much as the socket takes now, of scattered bytes; receive() is in host/socket.h.
Moved send(const Fd& socket, std::span<const iovec> pieces);

/// Ends a sleep_on() of another thread.
class Wake {
 public:
  static Result<Wake> create();
  const Fd& fd() const { return fd_; }
  void ring() const;
  void clear() const;

 private:
  Fd fd_;
};

/// What a socket can do.
struct Readiness {
  bool read = false, write = false;
};
/// Until `socket` (none: an empty Fd) can do some of what is wanted or is broken, the wake rings, or the time (ms, -1:
/// for ever) is over. What can be done.
Readiness sleep_on(const Fd& socket, Readiness wanted, const Wake& wake, int milliseconds);

}  // namespace vireo::host
