// Storage at an NBD server, in the clear or by TLS (uri.h says how it is written, client.h how it works).
//
// It cannot grow. A server without NBD_CMD_TRIM makes discard() do nothing, one without NBD_CMD_WRITE_ZEROES gets
// zeroes written. What is not in whole blocks of the server (alignment()) is read by way of a copy, and not written.
//
// Source: "The NBD protocol" (doc/proto.md of the nbd project).
#pragma once

#include <memory>
#include <string>

#include "block/api/storage.h"

namespace vireo::block {

namespace nbd {
/// Is it written like an export, and not like a file's name?
bool is_uri(std::string_view text);
}  // namespace nbd

struct NbdOptions {
  bool write = false;
  u64 patience_ns = 30'000'000'000;  ///< how long requests wait for a server that is lost, before they fail
};

/// Connects. Errors: NotFound (host, export), Denied, Usage (what is no URI, no NBD server, or read-only but to be
/// written), Failed.
Result<std::unique_ptr<Storage>> open_nbd(const std::string& uri, const NbdOptions& options);

}  // namespace vireo::block
