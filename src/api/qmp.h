// The control protocol's words: what is said in QMP, the protocol of QEMU's monitor.
//
// Source: QEMU's "QMP Protocol Specification" (docs/interop/qmp-spec). A greeting, then commands, each of which gets
// one answer, and events in between:
//
//   {"QMP": {"version": {...}, "capabilities": []}}
//   {"execute": "query-status", "arguments": {...}, "id": 1}      {"return": {...}, "id": 1}
//                                                                 {"error": {"class": ..., "desc": ...}, "id": 1}
//   {"event": "STOP", "timestamp": {"seconds": ..., "microseconds": ...}, "data": {...}}
//
// Commands and events have QEMU's names where they have QEMU's meaning.
#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace vireo::api {

using Json = nlohmann::json;

/// Clients take decisions by these; whatever has no class of its own is a GenericError.
enum class ErrorClass : u8 { GenericError, CommandNotFound, DeviceNotActive, DeviceNotFound };

struct CommandError {
  ErrorClass error_class = ErrorClass::GenericError;
  std::string description;
};

/// What a command gives back.
using Answer = std::expected<Json, CommandError>;

template <class... Args>
std::unexpected<CommandError> refuse(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(CommandError{ErrorClass::GenericError, fmt::format(format, std::forward<Args>(args)...)});
}
inline std::unexpected<CommandError> refuse(const Error& error) { return refuse("{}", error.message); }

/// {"major": 0, ...} of "0.1.0", as the greeting and query-version have it.
Json version_info(std::string_view version);

Json greeting(std::string_view version);
Json make_event(std::string_view name, Json data);  ///< with the time it is now; data: an object, empty: left out
/// The answer to a command; `id` is what the command had, null for nothing (which an id may be as well).
Json make_reply(const Answer& answer, const Json* id);
/// One line, in ASCII whatever the strings hold.
std::string as_line(const Json& message);

}  // namespace vireo::api
