#include "api/qmp.h"

#include <array>
#include <charconv>
#include <chrono>

namespace vireo::api {
namespace {

constexpr std::array<const char*, 4> kClasses = {"GenericError", "CommandNotFound", "DeviceNotActive",
                                                 "DeviceNotFound"};

}  // namespace

Json version_info(std::string_view version) {
  std::array<unsigned, 3> numbers{};
  const char* at = version.data();
  const char* const end = at + version.size();
  for (auto& number : numbers) {
    at = std::from_chars(at, end, number).ptr;
    if (at != end) ++at;
  }
  // "qemu" is the name that clients look for.
  return {{"qemu", {{"major", numbers[0]}, {"minor", numbers[1]}, {"micro", numbers[2]}}},
          {"package", fmt::format("vireo {}", version)}};
}

Json greeting(std::string_view version) {
  return {{"QMP", {{"version", version_info(version)}, {"capabilities", Json::array()}}}};
}

Json make_event(std::string_view name, Json data) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  Json event = {{"event", name},
                {"timestamp", {{"seconds", microseconds / 1'000'000}, {"microseconds", microseconds % 1'000'000}}}};
  if (!data.empty()) event["data"] = std::move(data);
  return event;
}

Json make_reply(const Answer& answer, const Json* id) {
  Json reply = Json::object();
  if (answer) {
    reply["return"] = *answer;
  } else {
    const auto& error = answer.error();
    reply["error"] = {{"class", kClasses[static_cast<std::size_t>(error.error_class)]}, {"desc", error.description}};
  }
  if (id != nullptr) reply["id"] = *id;
  return reply;
}

std::string as_line(const Json& message) {
  return message.dump(-1, ' ', true, Json::error_handler_t::replace) + "\r\n";
}

}  // namespace vireo::api
