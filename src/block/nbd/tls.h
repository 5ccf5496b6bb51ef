// TLS as a filter of bytes, by OpenSSL: what goes over the wire on one side, what is meant on the other. It knows no
// socket.
//
// The certificates are read once, so that a connection can be made anew by a process that opens no files any more.
// Without `verify` off, the server's certificate must be signed by whom we trust and be for the name we meant. TLS 1.2
// and 1.3.
//
// Threads: TlsSettings may be shared; a TlsFilter is one connection's.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace vireo::block::nbd {

struct Uri;

class TlsSettings {
 public:
  /// Errors: NotFound, Denied, Usage for certificates that are none.
  static Result<std::shared_ptr<const TlsSettings>> create(const Uri& uri);

 private:
  friend class TlsFilter;
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;  ///< SSL_CTX
  std::string peer_name_;
  bool verify_ = true;
};

class TlsFilter {
 public:
  static Result<std::unique_ptr<TlsFilter>> create(std::shared_ptr<const TlsSettings> settings);

  /// True when it is complete; otherwise the wire decides. Errors: Denied for a certificate that is not accepted.
  Result<bool> handshake();

  /// What has come over the wire.
  void from_wire(std::span<const u8> bytes);
  /// What is to go over the wire, at most so much as fits. 0: nothing.
  std::size_t to_wire(std::span<u8> bytes);

  struct Passed {
    std::size_t count = 0;
    bool ended = false;  ///< for good
  };
  Passed read(std::span<u8> bytes);
  Passed write(std::span<const u8> bytes);

 private:
  explicit TlsFilter(std::shared_ptr<const TlsSettings> settings) : settings_(std::move(settings)) {}
  struct Free {
    void operator()(void* session) const;
  };
  const std::shared_ptr<const TlsSettings> settings_;
  std::unique_ptr<void, Free> session_;  ///< SSL; it owns the BIOs
  void* in_ = nullptr;
  void* out_ = nullptr;
};

}  // namespace vireo::block::nbd
