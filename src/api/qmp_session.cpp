#include "api/qmp_session.h"

namespace vireo::api {
namespace {

constexpr const char* kNegotiate = "qmp_capabilities";

std::unexpected<CommandError> not_now(const char* why) {
  return std::unexpected(CommandError{ErrorClass::CommandNotFound, why});
}

/// Why this is no command at all; empty when it is one.
std::string fault_of(const Json& message) {
  if (!message.is_object()) return "QMP input must be a JSON object";
  for (const auto& [name, value] : message.items()) {
    if (name == "execute") {
      if (!value.is_string()) return "QMP input member 'execute' must be a string";
    } else if (name == "arguments") {
      if (!value.is_object()) return "QMP input member 'arguments' must be an object";
    } else if (name != "id") {
      return fmt::format("QMP input member '{}' is unexpected", name);
    }
  }
  if (!message.contains("execute")) return "QMP input lacks member 'execute'";
  return {};
}

}  // namespace

QmpSession::QmpSession(const Commands& commands, std::string_view version, std::function<void(std::string)> say)
    : commands_(commands), say_(std::move(say)) {
  say_(as_line(greeting(version)));
}

std::size_t QmpSession::hear(std::span<const u8> bytes) {
  return splitter_.feed(bytes, [this](std::string_view text, std::string_view error) { serve(text, error); });
}

void QmpSession::take(std::vector<host::Fd> descriptors) {
  for (auto& descriptor : descriptors) {
    if (descriptors_.size() < kMaxDescriptors) descriptors_.push_back(std::move(descriptor));
  }
}

void QmpSession::tell(const Json& event) {
  if (negotiated_) say_(as_line(event));
}

void QmpSession::serve(std::string_view text, std::string_view error) {
  if (!error.empty()) return say_(as_line(make_reply(refuse("JSON parse error: {}", error), nullptr)));
  const auto message = Json::parse(text, nullptr, false);
  if (message.is_discarded()) {
    return say_(as_line(make_reply(refuse("JSON parse error: this is not JSON"), nullptr)));
  }
  const Json* id = message.is_object() && message.contains("id") ? &message["id"] : nullptr;
  say_(as_line(make_reply(execute(message), id)));
}

Answer QmpSession::execute(const Json& message) {
  if (const auto fault = fault_of(message); !fault.empty()) return refuse("{}", fault);
  const auto& name = message["execute"].get_ref<const std::string&>();
  const Json arguments = message.value("arguments", Json::object());
  if (name == kNegotiate) return negotiate(arguments);
  if (!negotiated_) return not_now("Expecting capabilities negotiation with 'qmp_capabilities'");
  if (name == "query-commands") {
    auto names = commands_.names();
    names.insert(names.end(), {kNegotiate, "query-commands"});
    Json list = Json::array();
    for (const auto& known : names) list.push_back({{"name", known}});
    return list;
  }
  return commands_.run(name, arguments, descriptors_);
}

Answer QmpSession::negotiate(const Json& arguments) {
  if (negotiated_) return not_now("Capabilities negotiation is already complete, command ignored");
  for (const auto& [name, value] : arguments.items()) {
    if (name != "enable") return refuse("Parameter '{}' is unexpected", name);
    if (!value.is_array()) return refuse("Invalid parameter type for 'enable', expected: array");
    if (!value.empty())
      return refuse("Capability '{}' is not available", value[0].dump(-1, ' ', true, Json::error_handler_t::replace));
  }
  negotiated_ = true;
  return Json::object();
}

}  // namespace vireo::api
