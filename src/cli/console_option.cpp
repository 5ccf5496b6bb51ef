#include "cli/console_option.h"

#include "cli/sub_options.h"

namespace vireo::cli {
namespace {

using Kind = vmm::Console::Kind;

struct Choice {
  std::string_view name;
  Kind kind;
  bool path;  ///< has one
};
constexpr Choice kChoices[] = {{"stdio", Kind::Stdio, false},
                               {"none", Kind::None, false},
                               {"pty", Kind::Pty, false},
                               {"file", Kind::File, true},
                               {"socket", Kind::Socket, true}};

Result<vmm::Console> with_path(const Choice& choice, const std::string& path) {
  if (path.empty()) return fail(ErrorKind::Usage, "the name of the file is empty");
  return vmm::Console{.kind = choice.kind, .path = path};
}

}  // namespace

Result<vmm::Console> parse_console(const std::string& text) {
  for (const auto& choice : kChoices) {
    if (choice.path && text.starts_with(fmt::format("{}:", choice.name))) {
      return with_path(choice, text.substr(choice.name.size() + 1));
    }
  }
  TRY_ASSIGN(const auto options, split_sub_options(text));
  for (const auto& choice : kChoices) {
    const auto& [name, value] = options.front();
    if (name != choice.name || value) continue;
    if (options.size() == 1 && !choice.path) return vmm::Console{.kind = choice.kind, .path = {}};
    if (options.size() == 2 && choice.path && options[1].name == "path") {
      return with_path(choice, options[1].value.value_or(""));
    }
    if (choice.path) return fail(ErrorKind::Usage, "say which file: {0},path=FILE", choice.name);
    return fail(ErrorKind::Usage, "{} takes nothing behind it", choice.name);
  }
  return fail(ErrorKind::Usage, "\"{}\" is unknown; choose one of stdio, none, pty, file,path=FILE, socket,path=FILE",
              text);
}

}  // namespace vireo::cli
