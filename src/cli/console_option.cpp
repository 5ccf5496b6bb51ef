#include "cli/console_option.h"

#include <algorithm>
#include <span>

#include "cli/sub_options.h"

namespace vireo::cli {
namespace {

using Kind = vmm::Console::Kind;

constexpr std::size_t kMaxPortName = 100;

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

Result<vmm::Console> from_options(std::span<const SubOption> options, const std::string& text) {
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

}  // namespace

Result<vmm::Console> parse_console(const std::string& text) {
  for (const auto& choice : kChoices) {
    if (choice.path && text.starts_with(fmt::format("{}:", choice.name))) {
      return with_path(choice, text.substr(choice.name.size() + 1));
    }
  }
  TRY_ASSIGN(const auto options, split_sub_options(text));
  return from_options(options, text);
}

Result<vmm::VirtioConsole> parse_virtio_console(const std::string& text) {
  vmm::VirtioConsole port;
  TRY_ASSIGN(auto options, split_sub_options(text));
  if (const auto name = std::ranges::find(options, "name", &SubOption::name); name != options.end()) {
    port.name = name->value.value_or("");
    const bool good = !port.name.empty() && port.name.size() <= kMaxPortName &&
                      std::ranges::all_of(port.name, [](unsigned char c) { return c > ' ' && c < 0x7F && c != '/'; });
    if (!good) {
      return fail(ErrorKind::Usage, "name=\"{}\" is not up to {} printable ASCII characters without '/'", port.name,
                  kMaxPortName);
    }
    options.erase(name);
  }
  if (options.empty()) return fail(ErrorKind::Usage, "\"{}\" does not say where the port goes", text);
  TRY_ASSIGN(port.console, from_options(options, text));
  return port;
}

}  // namespace vireo::cli
