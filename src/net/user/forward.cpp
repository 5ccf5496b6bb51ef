#include "net/user/forward.h"

#include <arpa/inet.h>

#include <charconv>

namespace vireo::net {
namespace {

Result<u16> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port > 65535 || port == 0) {
    return fail(ErrorKind::Usage, "\"{}\" is not a port, 1 to 65535", text);
  }
  return static_cast<u16>(port);
}

/// "ADDRESS:PORT", where either part of it may be in brackets or empty.
Result<Endpoint> parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos) return fail(ErrorKind::Usage, "\"{}\" is not ADDRESS:PORT", text);
  std::string address = text.substr(0, colon);
  TRY_ASSIGN(const u16 port, parse_port(std::string_view(text).substr(colon + 1)));
  Endpoint endpoint{};
  if (address.starts_with('[') && address.ends_with(']')) {
    endpoint.v6.sin6_family = AF_INET6;
    endpoint.v6.sin6_port = htons(port);
    address = address.substr(1, address.size() - 2);
    if (::inet_pton(AF_INET6, address.c_str(), &endpoint.v6.sin6_addr) != 1) {
      return fail(ErrorKind::Usage, "\"{}\" is not an IPv6 address", address);
    }
    return endpoint;
  }
  endpoint.v4.sin_family = AF_INET;
  endpoint.v4.sin_port = htons(port);
  if (!address.empty() && ::inet_pton(AF_INET, address.c_str(), &endpoint.v4.sin_addr) != 1) {
    return fail(ErrorKind::Usage, "\"{}\" is not an IPv4 address; IPv6 addresses stand in brackets", address);
  }
  return endpoint;
}

/// The protocol, and what stands behind it.
Result<Forward> parse_protocol(const std::string& text, std::string& rest) {
  Forward forward;
  const auto colon = text.find(':');
  const auto protocol = text.substr(0, colon);
  if (colon == text.npos || (protocol != "tcp" && protocol != "udp" && !protocol.empty())) {
    return fail(ErrorKind::Usage, "\"{}\" does not begin with tcp: or udp:", text);
  }
  forward.udp = protocol == "udp";
  rest = text.substr(colon + 1);
  return forward;
}

std::string to_string(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = "";
  if (endpoint.any.sa_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &endpoint.v6.sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, ntohs(endpoint.v6.sin6_port));
  }
  if (endpoint.v4.sin_addr.s_addr != 0) ::inet_ntop(AF_INET, &endpoint.v4.sin_addr, text, sizeof text);
  return fmt::format("{}:{}", text, ntohs(endpoint.v4.sin_port));
}

}  // namespace

Result<Forward> parse_forward(const std::string& text) {
  std::string rest;
  TRY_ASSIGN(auto forward, parse_protocol(text, rest));
  const auto dash = rest.find('-');
  if (dash == rest.npos) {
    return fail(ErrorKind::Usage, "\"{}\" says not where to; write tcp:ADDRESS:PORT-ADDRESS:PORT", text);
  }
  TRY_ASSIGN(forward.host, parse_endpoint(rest.substr(0, dash)));
  TRY_ASSIGN(forward.guest, parse_endpoint(rest.substr(dash + 1)));
  return forward;
}

Result<Forward> parse_forward_source(const std::string& text) {
  std::string rest;
  TRY_ASSIGN(auto forward, parse_protocol(text, rest));
  TRY_ASSIGN(forward.host, parse_endpoint(rest));
  return forward;
}

std::string to_string(const Forward& forward) {
  return fmt::format("{}:{}-{}", forward.udp ? "udp" : "tcp", to_string(forward.host), to_string(forward.guest));
}

}  // namespace vireo::net
