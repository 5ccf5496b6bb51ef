#include "api/qmp_commands.h"

#include <algorithm>
#include <cassert>

namespace vireo::api {
namespace {

struct Kind {
  const char* name;
  bool (*fits)(const Json& value);
};

const Kind& kind_of(Parameter::Type type) {
  static constexpr Kind kKinds[] = {
      {"string", [](const Json& value) { return value.is_string(); }},
      {"integer",
       [](const Json& value) {
         // What does not fit 64 bits with a sign is no integer that a command could want.
         return value.is_number_integer() && (!value.is_number_unsigned() || value.get<u64>() <= u64{1} << 62);
       }},
      {"boolean", [](const Json& value) { return value.is_boolean(); }},
      {"array", [](const Json& value) { return value.is_array(); }},
  };
  return kKinds[static_cast<std::size_t>(type)];
}

CommandError generic(std::string description) { return {ErrorClass::GenericError, std::move(description)}; }

}  // namespace

host::Fd Arguments::take_descriptor() const {
  if (descriptors_.empty()) return {};
  host::Fd first = std::move(descriptors_.front());
  descriptors_.erase(descriptors_.begin());
  return first;
}

std::optional<CommandError> check_arguments(const std::vector<Parameter>& parameters, const Json& object, bool open) {
  for (const auto& [name, value] : object.items()) {
    const auto known = std::ranges::find_if(parameters, [&](const auto& p) { return p.name == name; });
    if (known == parameters.end() && open) continue;
    if (known == parameters.end()) return generic(fmt::format("Parameter '{}' is unexpected", name));
    const auto& kind = kind_of(known->type);
    if (!kind.fits(value)) {
      return generic(fmt::format("Invalid parameter type for '{}', expected: {}", name, kind.name));
    }
  }
  for (const auto& parameter : parameters) {
    if (parameter.required && !object.contains(parameter.name)) {
      return generic(fmt::format("Parameter '{}' is missing", parameter.name));
    }
  }
  return {};
}

void Commands::add(Command command) {
  const auto name = command.name;
  [[maybe_unused]] const bool added = commands_.emplace(name, std::move(command)).second;
  assert(added);
}

std::vector<std::string> Commands::names() const {
  std::vector<std::string> names;
  names.reserve(commands_.size());
  for (const auto& [name, command] : commands_) names.push_back(name);
  return names;
}

Answer Commands::run(const std::string& name, const Json& arguments, std::vector<host::Fd>& descriptors) const {
  const auto found = commands_.find(name);
  if (found == commands_.end()) {
    return std::unexpected(
        CommandError{ErrorClass::CommandNotFound, fmt::format("The command {} has not been found", name)});
  }
  const auto& command = found->second;
  if (auto wrong = check_arguments(command.parameters, arguments, command.open))
    return std::unexpected(std::move(*wrong));
  return command.run(Arguments(arguments, descriptors));
}

}  // namespace vireo::api
