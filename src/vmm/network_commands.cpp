#include "vmm/network_commands.h"

#include <algorithm>

#include "api/block_options.h"
#include "net/user/forward.h"

namespace vireo::vmm {
namespace {

using api::Answer;
using api::Arguments;
using api::Json;
using Type = api::Parameter::Type;

constexpr std::size_t kMaxId = 64;
constexpr std::size_t kMaxForwards = 64;  ///< of one netdev_add
constexpr std::size_t kMaxHostname = 63;

const std::vector<api::Parameter> kUserParameters = {{"type", Type::String, true}, {"id", Type::String, true},
                                                     {"net", Type::String},        {"restrict", Type::Boolean},
                                                     {"ipv6", Type::Boolean},      {"hostname", Type::String}};

Answer done_or_error(const Result<>& result) {
  if (result) return Json::object();
  if (result.error().kind != ErrorKind::NotFound) return api::refuse(result.error());
  return std::unexpected(api::CommandError{api::ErrorClass::DeviceNotFound, result.error().message});
}

/// [{"str": "tcp::2222-:22"}, ...], as QEMU has it.
Result<std::vector<net::Forward>> forwards_of(const Json& list) {
  if (!list.is_array()) return fail(ErrorKind::Usage, "Invalid parameter type for 'hostfwd', expected: array");
  if (list.size() > kMaxForwards) return fail(ErrorKind::Usage, "there are more than {} forwards", kMaxForwards);
  std::vector<net::Forward> forwards;
  for (const auto& one : list) {
    if (!one.is_object() || one.size() != 1 || !one.contains("str") || !one["str"].is_string()) {
      return fail(ErrorKind::Usage, "Parameter 'hostfwd' expects objects with a string 'str'");
    }
    TRY_ASSIGN(const auto forward, net::parse_forward(one["str"].get<std::string>()));
    forwards.push_back(forward);
  }
  return forwards;
}

Result<net::UserOptions> user_options(const Arguments& arguments) {
  net::UserOptions options;
  options.network = arguments.text("net", options.network);
  options.restrict_guest = arguments.flag("restrict");
  options.ipv6 = arguments.flag("ipv6", options.ipv6);
  options.hostname = arguments.text("hostname");
  const bool good_name =
      options.hostname.size() <= kMaxHostname &&
      std::ranges::all_of(options.hostname, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
  if (!good_name) return fail(ErrorKind::Usage, "Parameter 'hostname' expects letters, digits and '-'");
  if (arguments.has("hostfwd")) {
    TRY_ASSIGN(options.forwards, forwards_of(arguments.object()["hostfwd"]));
  }
  TRY(net::check(options));
  return options;
}

Answer add(Network& network, const Arguments& arguments) {
  if (arguments.text("type") != "user") {
    return api::refuse("Parameter 'type' does not accept value '{}'", arguments.text("type"));
  }
  auto named = arguments.object();
  named.erase("hostfwd");
  if (auto wrong = api::check_arguments(kUserParameters, named)) return std::unexpected(std::move(*wrong));
  const auto id = arguments.text("id");
  if (!api::is_identifier(id, kMaxId)) return api::refuse("Parameter 'id' expects an identifier");
  const auto options = user_options(arguments);
  if (!options) return api::refuse(options.error());
  const auto added = network.add(id, *options);
  if (!added) return api::refuse(added.error());
  return Json::object();
}

Answer change_forward(Network& network, const Arguments& arguments, bool add_it) {
  const auto change = [&]() -> Result<> {
    TRY_ASSIGN(auto* user, network.find_user(arguments.text("id")));
    const auto text = arguments.text("str");
    TRY_ASSIGN(const auto forward, add_it ? net::parse_forward(text) : net::parse_forward_source(text));
    return add_it ? user->add_forward(forward) : user->remove_forward(forward);
  };
  return done_or_error(change());
}

}  // namespace

void add_network_commands(api::Commands& commands, Network& network) {
  commands.add({"netdev_add",
                {{"type", Type::String, true}, {"id", Type::String, true}},
                [&network](const Arguments& arguments) { return add(network, arguments); },
                true});
  commands.add({"netdev_del", {{"id", Type::String, true}}, [&network](const Arguments& arguments) {
                  return done_or_error(network.remove(arguments.text("id")));
                }});
  commands.add(
      {"set_link", {{"name", Type::String, true}, {"up", Type::Boolean, true}}, [&network](const Arguments& arguments) {
         return done_or_error(network.set_link(arguments.text("name"), arguments.flag("up")));
       }});
  for (const bool add_it : {true, false}) {
    commands.add(
        {add_it ? "hostfwd_add" : "hostfwd_remove",
         {{"id", Type::String, true}, {"str", Type::String, true}},
         [&network, add_it](const Arguments& arguments) { return change_forward(network, arguments, add_it); }});
  }
}

}  // namespace vireo::vmm
