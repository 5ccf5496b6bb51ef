#include "net/user/addresses.h"

#include <arpa/inet.h>

#include <charconv>

namespace vireo::net {

Result<Addresses> Addresses::of(const std::string& network) {
  const auto slash = network.find('/');
  const auto bits_text = slash == network.npos ? std::string_view{} : std::string_view(network).substr(slash + 1);
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(bits_text.data(), bits_text.data() + bits_text.size(), bits);
  in_addr base{};
  const bool good = slash != network.npos && ::inet_pton(AF_INET, network.substr(0, slash).c_str(), &base) == 1 &&
                    error == std::errc() && end == bits_text.data() + bits_text.size() && bits >= 8 && bits <= 27;
  const u32 mask = good ? ~u32{0} << (32 - bits) : 0;
  const u32 first = ntohl(base.s_addr);
  if (!good || (first & ~mask) != 0) {
    return fail(ErrorKind::Usage, "\"{}\" is not a network; write one such as 10.0.2.0/24, with 8 to 27 bits", network);
  }
  const auto address = [&](u32 number) { return in_addr{htonl(first + number)}; };
  return Addresses{.network = base,
                   .mask = {htonl(mask)},
                   .host = address(2),
                   .name_server = address(3),
                   .first_guest = address(15)};
}

in6_addr ipv6_address(const char* text) {
  in6_addr address{};
  ::inet_pton(AF_INET6, text, &address);
  return address;
}

}  // namespace vireo::net
