// Where an export is, as people write it:
//
//   nbd://HOST[:PORT]/EXPORT    nbd+unix:///EXPORT?socket=PATH     in the clear
//   nbds://HOST[:PORT]/EXPORT   nbds+unix:///EXPORT?socket=PATH    TLS, with, after "?" and parted by "&":
//     tls-certificates=FOLDER   has ca-cert.pem (who is trusted instead of the system's authorities) and, where the
//                               server wants to know who we are, client-cert.pem and client-key.pem
//     tls-hostname=NAME         whom the server's certificate must be for (HOST; nothing is implied for a Unix socket)
//     tls-verify-peer=false     anybody's certificate will do
//
// EXPORT and values may have %XX in them. Without EXPORT it is the server's default export.
//
// Source: "The NBD URI specification" (doc/uri.md of the nbd project), and libnbd's additions for TLS.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace vireo::block::nbd {

struct Uri {
  std::string text;  ///< as it was written
  std::string host;  ///< a name or a number, an IPv6 one without brackets; empty for a Unix socket
  u16 port = 0;
  std::string socket;  ///< path of a Unix socket, else empty
  std::string export_name;
  bool tls = false;
  std::string certificates;  ///< folder, empty: the system's authorities
  std::string peer_name;     ///< whom the certificate must be for
  bool verify = true;
};

/// Does it begin like one?
bool is_uri(std::string_view text);
/// Errors: Usage.
Result<Uri> parse_uri(const std::string& text);

}  // namespace vireo::block::nbd
