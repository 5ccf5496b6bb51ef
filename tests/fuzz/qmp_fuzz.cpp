// A client of the control socket is hostile: whatever it sends, every line that comes back is JSON, each has an answer,
// and nothing is kept beyond the limits.
#include <cstdlib>

#include "api/qmp_session.h"

using namespace vireo;

namespace {

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
