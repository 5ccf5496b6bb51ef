// The conversation of vhost-user: one message and its answer after the other, while a device is set up.
//
// The other side is not trusted: an answer has to be the one that was asked for, of the right size, within ten seconds.
#pragma once

#include <span>

#include "base/result.h"
#include "host/fd.h"
#include "vhost/user/spec.h"

namespace vireo::vhost::user {

class Connection {
 public:
  /// `socket` is connected, and blocks; `who` is for messages.
  Connection(host::Fd socket, std::string who) : socket_(std::move(socket)), who_(std::move(who)) {}

  const host::Fd& socket() const { return socket_; }
  const std::string& who() const { return who_; }

  /// Sends a message with descriptors, and waits for its acknowledgement if those are agreed on.
  Result<> tell(Request request, std::span<const u8> body, std::span<const int> passed = {});
  template <class Body>
  Result<> tell(Request request, const Body& body, std::span<const int> passed = {}) {
    return tell(request, std::span(reinterpret_cast<const u8*>(&body), sizeof body), passed);
  }
  /// Asks for 64 bits.
  Result<u64> ask(Request request);
  void acknowledgements_agreed() { acknowledges_ = true; }

 private:
  Result<> send(Request request, u32 flags, std::span<const u8> body, std::span<const int> passed);
  Result<u64> answer(Request request);
  Result<> receive(std::span<u8> bytes);

  host::Fd socket_;
  const std::string who_;
  bool acknowledges_ = false;
};

/// A connection to who listens at `path`.
Result<Connection> connect(const std::string& path);

}  // namespace vireo::vhost::user
