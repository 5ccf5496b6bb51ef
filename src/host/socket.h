// Unix stream sockets: a listener with a name in the file system, and what goes over a connection. Nothing here waits.
//
// Source: unix(7).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"
#include "host/file.h"

namespace vireo::host {

/// A socket that others connect to by its path. Its name is removed with the object, unless another has taken it.
class UnixListener {
 public:
  /// Only the owner of this process may connect (mode 0600). A socket that is left over from a process that has ended
  /// is replaced; one at which somebody listens (WrongState) or anything else of that name (Usage) is not.
  static Result<UnixListener> create(const std::string& path);
  UnixListener() = default;
  UnixListener(UnixListener&&) noexcept = default;
  UnixListener& operator=(UnixListener&&) noexcept = default;
  ~UnixListener();

  /// Becomes readable when somebody connects.
  const Fd& fd() const { return fd_; }
  /// The folder the name is in.
  const Place& place() const { return place_; }
  /// The next connection, non-blocking; empty when nobody waits.
  Fd accept() const;

 private:
  bool is_ours() const;

  Fd fd_;
  Place place_;
  u64 device_ = 0, inode_ = 0;  ///< of the name
};

/// What came of an attempt to move bytes.
struct Moved {
  std::size_t count = 0;
  bool ended = false;  ///< the peer is gone, for good
};

/// What there is to read, and the descriptors that come with it, appended to `passed`: at most 16 at once, the others
/// are closed.
Moved receive(const Fd& socket, std::span<u8> bytes, std::vector<Fd>& passed);
/// The same without descriptors: any that come are closed.
Moved receive(const Fd& socket, std::span<u8> bytes);
/// The peer finds the end of what is sent, and may go on sending.
void end_sending(const Fd& socket);
/// The peer has closed its end.
bool peer_is_gone(const Fd& socket);
/// As much as the socket takes now.
Moved send(const Fd& socket, std::span<const u8> bytes);

}  // namespace vireo::host
