// A client of the control socket is hostile: whatever it sends, every line that comes back is JSON, each has an answer,
// and nothing is kept beyond the limits.
#include <cstdlib>

#include "api/block_options.h"
#include "api/qmp_session.h"

using namespace vireo;

namespace {

/// What has been understood is within its limits.
void check(const api::BlockOptions& options, unsigned depth) {
  using Options = api::BlockOptions;
  const bool file = options.driver == Options::Driver::File;
  if (depth >= Options::kMaxDepth || options.node_name.size() > Options::kMaxNodeName) std::abort();
  if (options.filename.empty() == file || options.filename.size() > Options::kMaxFilename) std::abort();
  for (const auto* child : {&options.file, &options.backing}) {
    if (file && !std::holds_alternative<std::monostate>(*child)) std::abort();
    if (const auto* node = std::get_if<std::unique_ptr<Options>>(child)) check(**node, depth + 1);
  }
}

api::Commands all_kinds() {
  using Type = api::Parameter::Type;
  api::Commands commands;
  commands.add({"ask",
                {{"text", Type::String, true}, {"number", Type::Integer}, {"flag", Type::Boolean}},
                [](const api::Arguments& arguments) -> api::Answer {
                  return api::Json{{"text", arguments.text("text")},
                                   {"number", arguments.integer("number")},
                                   {"flag", arguments.flag("flag")},
                                   {"passed", static_cast<bool>(arguments.take_descriptor())}};
                }});
  commands.add({"node",
                {},
                [](const api::Arguments& arguments) -> api::Answer {
                  const auto options = api::BlockOptions::parse(arguments.object());
                  if (!options) return api::refuse(options.error());
                  check(*options, 0);
                  return api::Json::object();
                },
                true});
  commands.add({"fail", {}, [](const api::Arguments&) -> api::Answer { return api::refuse("no"); }});
  return commands;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  static const api::Commands commands = all_kinds();
  if (size == 0) return 0;
  std::size_t lines = 0;
  api::QmpSession session(commands, "1.2.3", [&](const std::string& line) {
    ++lines;
    const auto said = api::Json::parse(line, nullptr, false);
    if (!said.is_object() || !line.ends_with("\r\n")) std::abort();
    if (!said.contains("QMP") && said.contains("return") == said.contains("error") && !said.contains("event")) {
      std::abort();
    }
  });
  constexpr std::string_view kReady = R"({"execute":"qmp_capabilities"})";
  if (data[0] % 4 != 0) session.hear({reinterpret_cast<const u8*>(kReady.data()), kReady.size()});
  const std::size_t piece = 1 + data[0] / 4;
  std::span<const u8> rest(data + 1, size - 1);
  while (!rest.empty()) {
    const std::size_t before = lines;
    const std::size_t heard = session.hear(rest.first(std::min(piece, rest.size())));
    if (heard == 0 || lines - before > 2) std::abort();
    rest = rest.subspan(heard);
    if (rest.size() % 64 == 0) session.tell(api::make_event("STOP", {}));
  }
  return 0;
}
