// A connection to a server on which the transmission phase has begun, in the clear or by TLS.
//
// Threads: one at a time. Only connect() waits.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "block/nbd/negotiation.h"
#include "block/nbd/tls.h"
#include "block/nbd/uri.h"
#include "host/stream.h"

namespace vireo::block::nbd {

/// Everything that connecting takes, looked up and read once.
struct Target {
  Uri uri;
  std::vector<host::StreamAddress> addresses;
  std::shared_ptr<const TlsSettings> tls;  ///< none: in the clear

  /// Errors: NotFound, Usage, Denied.
  static Result<Target> find(const Uri& uri);
};

class Link {
 public:
  /// Connects and negotiates. Ends early, with an error, when `give_up` says so after the wake has rung.
  /// Errors name the export; kinds as Negotiation and TlsFilter.
  static Result<std::unique_ptr<Link>> connect(const Target& target, const host::Wake& wake, u64 deadline_ns,
                                               const std::function<bool()>& give_up);

  const Export& about() const { return about_; }
  const host::Fd& socket() const { return socket_; }

  /// As much as it takes now.
  host::Moved send(std::span<const iovec> pieces);
  /// What there is; the buffer is as large as one wants to get at once.
  host::Moved receive(std::span<u8> bytes);
  /// Bytes that were taken and are not on their way. send({}) goes on with them.
  bool has_unsent() const { return sent_ < wire_.size(); }

 private:
  class Maker;
  Link() = default;
  host::Moved send_by_tls(std::span<const iovec> pieces);
  bool empty_wire();
  bool take_answers();

  host::Fd socket_;
  std::unique_ptr<TlsFilter> tls_;
  Export about_;
  std::vector<u8> early_;  ///< of the transmission phase, that came with the negotiation
  std::vector<u8> wire_;   ///< ciphertext on its way out
  std::size_t sent_ = 0;   ///< bytes of it that are sent
};

}  // namespace vireo::block::nbd
