#include "block/nbd/uri.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "block/nbd/spec.h"

namespace vireo::block::nbd {
namespace {

struct Scheme {
  std::string_view text;
  bool unix_socket, tls;
};
constexpr Scheme kSchemes[] = {
    {"nbd://", false, false}, {"nbd+unix://", true, false}, {"nbds://", false, true}, {"nbds+unix://", true, true}};

const Scheme* scheme_of(std::string_view text) {
  const auto* const found =
      std::ranges::find_if(kSchemes, [&](const Scheme& scheme) { return text.starts_with(scheme.text); });
  return found == std::end(kSchemes) ? nullptr : found;
}

/// Nothing for what is no %XX, and for a zero byte.
std::optional<std::string> decode(std::string_view text) {
  std::string decoded;
  for (std::size_t at = 0; at < text.size(); ++at) {
    u8 value = static_cast<u8>(text[at]);
    if (value == '%') {
      if (text.size() - at < 3) return std::nullopt;
      const auto [end, error] = std::from_chars(text.data() + at + 1, text.data() + at + 3, value, 16);
      if (error != std::errc() || end != text.data() + at + 3) return std::nullopt;
      at += 2;
    }
    if (value == 0) return std::nullopt;
    decoded += static_cast<char>(value);
  }
  return decoded;
}

class Parser {
 public:
  explicit Parser(const std::string& text) { uri_.text = text; }
  Result<Uri> parse();

 private:
  std::unexpected<Error> wrong(std::string_view why) const {
    return fail(ErrorKind::Usage, "\"{}\" is no NBD export: {}", uri_.text, why);
  }
  Result<> authority(std::string_view text);
  Result<> parameter(std::string_view text);
  Uri uri_;
  bool unix_ = false;
};

Result<> Parser::authority(std::string_view text) {
  if (unix_) {
    if (!text.empty()) return wrong("after +unix:// comes /EXPORT?socket=PATH");
    return {};
  }
  if (text.find('@') != text.npos) return wrong("there are no users in it");
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return wrong("a \"]\" is missing");
    uri_.host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    if (!port.empty() && port.front() != ':') return wrong("after \"]\" comes :PORT");
  } else {
    const auto colon = text.find(':');
    uri_.host = text.substr(0, colon);
    port = colon == text.npos ? "" : text.substr(colon);
  }
  if (uri_.host.empty()) return wrong("the host is missing");
  uri_.port = kDefaultPort;
  if (port.size() > 1) {
    port.remove_prefix(1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), uri_.port);
    if (error != std::errc() || end != port.data() + port.size() || uri_.port == 0) return wrong("the port is none");
  }
  return {};
}

Result<> Parser::parameter(std::string_view text) {
  const auto equals = text.find('=');
  const auto name = text.substr(0, equals);
  const auto value = equals == text.npos ? std::nullopt : decode(text.substr(equals + 1));
  if (!value || value->empty()) return wrong(fmt::format("\"{}\" is not NAME=VALUE", text));
  if (name == "socket" && unix_) {
    uri_.socket = *value;
  } else if (name == "tls-certificates" && uri_.tls) {
    uri_.certificates = *value;
  } else if (name == "tls-hostname" && uri_.tls) {
    uri_.peer_name = *value;
  } else if (name == "tls-verify-peer" && uri_.tls && (value == "true" || value == "false")) {
    uri_.verify = value == "true";
  } else {
    return wrong(fmt::format("\"{}\" is not understood here", text));
  }
  return {};
}

Result<Uri> Parser::parse() {
  const auto* const scheme = scheme_of(uri_.text);
  if (scheme == nullptr) return wrong("it does not begin with nbd://, nbds://, nbd+unix:// or nbds+unix://");
  unix_ = scheme->unix_socket;
  uri_.tls = scheme->tls;
  const std::string text = uri_.text.substr(scheme->text.size());
  const std::string_view rest = text;
  const auto query = rest.find('?');
  const auto place = rest.substr(0, query);
  const auto slash = place.find('/');
  TRY(authority(place.substr(0, slash)));
  const auto name = decode(slash == place.npos ? "" : place.substr(slash + 1));
  if (!name || name->size() > kMaxStringSize) return wrong("the export's name is none");
  uri_.export_name = *name;
  for (auto parameters = query == rest.npos ? "" : rest.substr(query + 1); !parameters.empty();) {
    const auto end = parameters.find('&');
    TRY(parameter(parameters.substr(0, end)));
    parameters = end == parameters.npos ? "" : parameters.substr(end + 1);
  }
  if (unix_ && uri_.socket.empty()) return wrong("?socket=PATH is missing");
  if (uri_.peer_name.empty()) uri_.peer_name = uri_.host;
  return uri_;
}

}  // namespace

bool is_uri(std::string_view text) { return scheme_of(text) != nullptr; }

Result<Uri> parse_uri(const std::string& text) { return Parser(text).parse(); }

}  // namespace vireo::block::nbd
