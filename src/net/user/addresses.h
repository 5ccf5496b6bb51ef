// Who is who in a user network.
#pragma once

#include <netinet/in.h>

#include <string>

#include "base/result.h"
#include "base/types.h"

namespace vireo::net {

struct Addresses {
  in_addr network, mask;
  in_addr host, name_server;  ///< the second and third of the network
  in_addr first_guest;        ///< the fifteenth: what DHCP gives out first

  /// "10.0.2.0/24"; /8 to /27, so that there is room for those.
  static Result<Addresses> of(const std::string& network);
};

/// `text` is one.
in6_addr ipv6_address(const char* text);

}  // namespace vireo::net
