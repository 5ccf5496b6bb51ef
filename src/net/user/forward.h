// A port of the host that leads into the guest.
#pragma once

#include <netinet/in.h>

#include <string>

#include "base/result.h"
#include "base/types.h"

namespace vireo::net {

/// An IPv4 or IPv6 address and a port.
union Endpoint {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

struct Forward {
  bool udp = false;
  Endpoint host{};   ///< where to listen
  Endpoint guest{};  ///< where to; address 0.0.0.0 is the guest's own
};

/// "tcp:127.0.0.1:2222-:22": protocol (tcp, udp; empty: tcp), host address (empty: all), host port, guest address
/// (empty: the first that DHCP gives), guest port. IPv6 addresses stand in brackets. Errors are of kind Usage.
Result<Forward> parse_forward(const std::string& text);
/// The same without the guest's half, as it names what is to be removed.
Result<Forward> parse_forward_source(const std::string& text);
std::string to_string(const Forward& forward);

}  // namespace vireo::net
