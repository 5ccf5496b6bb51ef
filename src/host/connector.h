// A helper process that connects to Unix sockets for this one.
//
// Which socket connect() reaches is in memory, where no system call filter sees it: a machine that may connect to one
// may connect to all that its user can, a container daemon's for example. So it connects to none. A child, made before
// there is a guest, keeps a prefix of paths; asked for a number it connects to the prefix with the number behind it,
// and passes the socket. It can do nothing else (no file, no program, no capability), and it ends with this process.
//
// Source: unix(7), seccomp(2).
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

class Connector {
 public:
  /// Connects to `prefix` and a decimal number behind it. Before any other thread is started, and before the guest has
  /// memory, for it forks. Usage: the path would be too long.
  static Result<Connector> create(const std::string& prefix);

  /// Becomes readable when there is an answer.
  const Fd& fd() const { return channel_; }
  /// False: too many wait already.
  bool ask(u32 id, u32 number) const;
  struct Answer {
    u32 id = 0;
    Fd socket;  ///< connected and non-blocking; empty: nobody listens there
  };
  /// Answers come in the order of asking.
  std::optional<Answer> answer() const;

 private:
  explicit Connector(Fd channel) : channel_(std::move(channel)) {}
  Fd channel_;
};

}  // namespace vireo::host
