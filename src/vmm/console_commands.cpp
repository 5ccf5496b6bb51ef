#include "vmm/console_commands.h"

#include <algorithm>

#include "api/base64.h"

namespace vireo::vmm {
namespace {

using api::Answer;
using api::Arguments;
using api::Json;

constexpr i64 kMostBytes = 64 * 1024;  ///< of one answer

Answer chardevs(const Consoles& consoles) {
  Json list = Json::array();
  for (const auto& port : consoles.ports()) {
    list.push_back(
        {{"label", port.name}, {"filename", port.place}, {"frontend-open", !port.connected || port.connected()}});
  }
  return list;
}

Answer console_log(const Consoles& consoles, const Arguments& arguments) {
  const auto name = arguments.text("device");
  const auto port = std::ranges::find(consoles.ports(), name, &Consoles::Port::name);
  if (port == consoles.ports().end()) return api::refuse("Device '{}' not found", name);
  const auto format = arguments.text("format", "utf8");
  if (format != "utf8" && format != "base64") {
    return api::refuse("Parameter 'format' does not accept value '{}'", format);
  }
  const i64 size = arguments.integer("size", kMostBytes);
  if (size < 1) return api::refuse("Parameter 'size' is at least 1");
  const auto piece = port->channel->log().read(static_cast<u64>(std::max<i64>(arguments.integer("from"), 0)),
                                               static_cast<std::size_t>(std::min(size, kMostBytes)));
  return Json{
      {"from", piece.from},
      {"next", piece.from + piece.bytes.size()},
      {"end", piece.end},
      {"data", format == "base64" ? api::base64(piece.bytes) : std::string(piece.bytes.begin(), piece.bytes.end())}};
}

}  // namespace

void add_console_commands(api::Commands& commands, const Consoles& consoles) {
  using Type = api::Parameter::Type;
  commands.add({"query-chardev", {}, [&consoles](const Arguments&) { return chardevs(consoles); }});
  commands.add(
      {"query-console-log",
       {{"device", Type::String, true}, {"from", Type::Integer}, {"size", Type::Integer}, {"format", Type::String}},
       [&consoles](const Arguments& arguments) { return console_log(consoles, arguments); }});
}

}  // namespace vireo::vmm
