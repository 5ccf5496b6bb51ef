#include "vmm/cards.h"

#include <algorithm>
#include <charconv>

#include "api/block_options.h"

namespace vireo::vmm {
namespace {

using api::Answer;
using api::Arguments;
using api::Json;
using Type = api::Parameter::Type;

constexpr std::string_view kBus = "pci.port";
constexpr std::size_t kMaxId = 64;

const std::vector<api::Parameter> kCommon = {
    {"driver", Type::String, true}, {"id", Type::String, true}, {"bus", Type::String}};

struct State {
  std::vector<std::string> added;  ///< arguments of device_add, JSON
  static constexpr u16 kVersion = 1;
};
void fields(vm::Archive& ar, State& s) {
  auto& [added] = s;
  ar(added);
}

/// "pci.port2" -> 2
std::optional<unsigned> port_of(std::string_view bus) {
  unsigned port = 0;
  if (!bus.starts_with(kBus)) return {};
  bus.remove_prefix(kBus.size());
  const auto [end, error] = std::from_chars(bus.data(), bus.data() + bus.size(), port);
  if (error != std::errc() || end != bus.data() + bus.size()) return {};
  return port;
}

}  // namespace

Cards::Cards(machine::Pc& machine, Life& life, std::vector<CardKind> kinds)
    : machine_(machine), life_(life), kinds_(std::move(kinds)) {}

void Cards::add_commands(api::Commands& commands, Removed removed) {
  removed_ = std::move(removed);
  commands.add({"device_add", kCommon, [this](const Arguments& arguments) { return add(arguments); }, true});
  commands.add({"device_del", {{"id", Type::String, true}}, [this](const Arguments& arguments) {
                  return ask_for(arguments.text("id"));
                }});
}

const CardKind* Cards::find_kind(const std::string& driver) const {
  const auto found = std::ranges::find(kinds_, driver, &CardKind::driver);
  return found == kinds_.end() ? nullptr : &*found;
}

Result<> Cards::plug(const CardKind& kind, const Arguments& arguments) {
  const auto id = arguments.text("id");
  std::optional<unsigned> port;
  if (arguments.has("bus")) {
    port = port_of(arguments.text("bus"));
    if (!port) return fail(ErrorKind::NotFound, "Bus '{}' not found", arguments.text("bus"));
  }
  TRY(machine_.ports().plug(id, port,
                            [&](const machine::CardWires& wires) { return kind.make(arguments, id, wires); }));
  const auto places = machine_.ports().cards();
  Json what = arguments.object();
  what["bus"] = fmt::format("{}{}", kBus, std::ranges::find(places, id, &machine::Ports::Place::id)->port);
  added_[id] = what.dump();
  return {};
}

Answer Cards::add(const Arguments& arguments) {
  const auto* kind = find_kind(arguments.text("driver"));
  if (kind == nullptr) return api::refuse("'{}' is not a valid device model name", arguments.text("driver"));
  auto parameters = kCommon;
  parameters.insert(parameters.end(), kind->parameters.begin(), kind->parameters.end());
  if (auto wrong = api::check_arguments(parameters, arguments.object())) return std::unexpected(std::move(*wrong));
  if (!api::is_identifier(arguments.text("id"), kMaxId)) return api::refuse("Parameter 'id' expects an identifier");
  Result<> plugged = fail(ErrorKind::WrongState, "the machine is about to stop");
  life_.while_parked([&] { plugged = plug(*kind, arguments); });
  if (!plugged) return api::refuse(plugged.error());
  return Json::object();
}

Answer Cards::ask_for(const std::string& id) {
  if (!added_.contains(id)) {
    return std::unexpected(
        api::CommandError{api::ErrorClass::DeviceNotFound, fmt::format("Device '{}' not found", id)});
  }
  Result<> asked = fail(ErrorKind::WrongState, "the machine is about to stop");
  life_.while_parked([&] { asked = machine_.ports().ask_for(id); });
  if (!asked) return api::refuse(asked.error());
  return Json::object();
}

void Cards::forget(const std::string& id) {
  added_.erase(id);
  removed_(id);
}

vm::StateRecord Cards::save() const {
  State state;
  for (const auto& [id, arguments] : added_) state.added.push_back(arguments);
  return vm::save_fields("cards", state);
}

Result<> Cards::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  for (const auto& text : state.added) {
    const auto object = Json::parse(text, nullptr, false);
    std::vector<host::Fd> none;
    const Arguments arguments(object, none);
    const auto* kind = object.is_object() && !api::check_arguments(kCommon, object, true)
                           ? find_kind(arguments.text("driver"))
                           : nullptr;
    auto parameters = kCommon;
    if (kind != nullptr) parameters.insert(parameters.end(), kind->parameters.begin(), kind->parameters.end());
    if (kind == nullptr || api::check_arguments(parameters, object) ||
        !api::is_identifier(arguments.text("id"), kMaxId)) {
      return fail(ErrorKind::Usage, "state of '{}' is corrupt, or has a device that this program does not know",
                  record.name);
    }
    TRY(plug(*kind, arguments));
  }
  return {};
}

}  // namespace vireo::vmm
