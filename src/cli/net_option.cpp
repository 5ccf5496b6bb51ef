#include "cli/net_option.h"

#include <algorithm>
#include <charconv>

#include "cli/sub_options.h"

namespace vireo::cli {
namespace {

constexpr std::size_t kMaxId = 64;

Result<std::array<u8, 6>> parse_mac(const std::string& text) {
  std::array<u8, 6> mac{};
  const auto bad = [&] {
    return fail(ErrorKind::Usage, "mac={} is not an address such as 52:54:00:12:34:56, whose first number is even",
                text);
  };
  if (text.size() != 17) return bad();
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const char* at = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(at, at + 2, mac[i], 16);
    if (error != std::errc() || end != at + 2 || (i < 5 && at[2] != ':')) return bad();
  }
  const bool zero = std::all_of(mac.begin(), mac.end(), [](u8 byte) { return byte == 0; });
  if ((mac[0] & 1) != 0 || zero) return bad();
  return mac;
}

Result<unsigned> parse_number(const SubOption& option, unsigned lowest, unsigned highest) {
  const std::string text = option.value.value_or("");
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < lowest || number > highest) {
    return fail(ErrorKind::Usage, "{}={} is not a number from {} to {}", option.name, text, lowest, highest);
  }
  return number;
}

Result<bool> parse_switch(const SubOption& option) {
  if (!option.value || option.value == "on") return true;
  if (option.value == "off") return false;
  return fail(ErrorKind::Usage, "{}={} is neither on nor off", option.name, *option.value);
}

Result<> set_hostname(net::UserOptions& user, const std::string& text) {
  const bool good = !text.empty() && text.size() <= 63 &&
                    std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
  if (!good) return fail(ErrorKind::Usage, "hostname={} is not up to 63 letters, digits and '-'", text);
  user.hostname = text;
  return {};
}

/// Whether it is an option of user mode.
Result<bool> set_user(net::UserOptions& user, const SubOption& option) {
  const auto& [name, value] = option;
  if (name == "hostfwd" && value) {
    auto forward = net::parse_forward(*value);
    if (!forward) return fail(forward.error().kind, "hostfwd={}: {}", *value, forward.error().message);
    user.forwards.push_back(*forward);
  } else if (name == "restrict") {
    TRY_ASSIGN(user.restrict_guest, parse_switch(option));
  } else if (name == "ipv6") {
    TRY_ASSIGN(user.ipv6, parse_switch(option));
  } else if (name == "net" && value) {
    user.network = *value;
    TRY(net::check(user));
  } else if (name == "hostname" && value) {
    TRY(set_hostname(user, *value));
  } else {
    return false;
  }
  return true;
}

Result<bool> set_tap(net::TapOptions& tap, const SubOption& option) {
  if (option.name == "ifname" && option.value) {
    const auto& name = *option.value;
    if (name.empty() || name.size() > 15 || name.find_first_of("/ ") != name.npos) {
      return fail(ErrorKind::Usage, "ifname={} is not the name of an interface, up to 15 characters", name);
    }
    tap.ifname = name;
  } else if (option.name == "fd" && option.value) {
    TRY_ASSIGN(const unsigned fd, parse_number(option, 3, 1 << 20));
    tap.fd = static_cast<int>(fd);
  } else {
    return false;
  }
  return true;
}

Result<bool> set_socket(vmm::NetConfig& net, const SubOption& option) {
  const auto& [name, value] = option;
  auto& socket = net.socket;
  if (name == "local" && value) {
    TRY_ASSIGN(socket.local, net::SocketAddress::parse(*value));
    return true;
  }
  const bool known = name == "listen" || name == "connect" || name == "datagram";
  if (!known || !value) return false;
  if (socket.address.size != 0) return fail(ErrorKind::Usage, "choose one of listen=, connect= and datagram=");
  TRY_ASSIGN(socket.address, net::SocketAddress::parse(*value));
  socket.wire = name == "listen" ? net::Wire::Listen : name == "connect" ? net::Wire::Connect : net::Wire::Datagram;
  return true;
}

/// What is missing.
Result<> check_complete(const vmm::NetConfig& net) {
  if (net.kind != vmm::NetKind::Socket) return {};
  const auto& socket = net.socket;
  if (socket.address.size == 0) return fail(ErrorKind::Usage, "socket needs one of listen=, connect= and datagram=");
  if ((socket.wire == net::Wire::Datagram) != (socket.local.size != 0)) {
    return fail(ErrorKind::Usage, "datagram= and local= go together");
  }
  return {};
}

struct Kind {
  const char* name;
  vmm::NetKind kind;
  const char* options;
};
constexpr Kind kKinds[] = {
    {"user", vmm::NetKind::User, "hostfwd=, restrict, ipv6=, net= and hostname="},
    {"tap", vmm::NetKind::Tap, "ifname= and fd="},
    {"socket", vmm::NetKind::Socket, "listen=, connect=, datagram= and local="},
};

Result<bool> set_of_kind(vmm::NetConfig& net, const SubOption& option) {
  switch (net.kind) {
    case vmm::NetKind::User:
      return set_user(net.user, option);
    case vmm::NetKind::Tap:
      return set_tap(net.tap, option);
    case vmm::NetKind::Socket:
      return set_socket(net, option);
  }
  return false;
}

}  // namespace

Result<std::optional<vmm::NetConfig>> parse_net(const std::string& text) {
  TRY_ASSIGN(auto options, split_sub_options(text));
  const auto first = std::move(options.front());
  options.erase(options.begin());
  if (first.name == "none" && !first.value) {
    if (!options.empty()) return fail(ErrorKind::Usage, "none takes no further options");
    return std::nullopt;
  }
  const auto* kind = std::ranges::find_if(kKinds, [&](const Kind& k) { return first.name == k.name && !first.value; });
  if (kind == std::end(kKinds)) {
    return fail(ErrorKind::Usage, "\"{}\" is unknown; choose one of user, tap, socket, none", first.name);
  }
  vmm::NetConfig net;
  net.kind = kind->kind;
  for (const auto& option : options) {
    const auto& [name, value] = option;
    if (name == "mac" && value) {
      TRY_ASSIGN(net.mac, parse_mac(*value));
    } else if (name == "mtu" && value) {
      TRY_ASSIGN(const unsigned mtu, parse_number(option, net::kMinMtu, net::kMaxMtu));
      net.mtu = static_cast<u16>(mtu);
    } else if (name == "id" && value) {
      TRY_ASSIGN(net.id, parse_id(*value, kMaxId));
    } else {
      TRY_ASSIGN(const bool known, set_of_kind(net, option));
      if (!known) {
        return fail(ErrorKind::Usage, "\"{}\" is not understood; {} has mac=, mtu=, id=, {}",
                    value ? name + "=" + *value : name, kind->name, kind->options);
      }
    }
  }
  TRY(check_complete(net));
  return net;
}

}  // namespace vireo::cli
