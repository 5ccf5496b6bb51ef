#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/commands.h"

namespace vireo::cli {

std::string_view version() { return VIREO_VERSION; }

int report(const Error& error) {
  fmt::print(stderr, "vireo: {}\n", error.message);
  return static_cast<int>(error.kind);
}

int main(int argc, char** argv) {
  CLI::App app("Vireo runs x86 virtual machines, with and without hardware virtualization.", "vireo");
  app.set_version_flag("--version", fmt::format("vireo {}", version()));
  app.require_subcommand(0, 1);
  app.footer(
      "Examples:\n"
      "  vireo run --kernel vmlinuz --initrd initrd --append \"console=ttyS0\"\n"
      "  vireo run --help\n\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage, configuration or input file, 3 not found, 4 wrong state, 5 "
      "denied.");
  int status = 0;
  add_run(app, status);
  add_image(app, status);
  add_version(app, status);
  try {
    app.parse(argc, argv);
    if (app.get_subcommands().empty()) {
      fmt::print(stderr, "vireo: say what to do, such as \"vireo run\"; \"vireo --help\" lists the commands\n");
      return static_cast<int>(ErrorKind::Usage);
    }
    return status;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    fmt::print(stderr, "vireo: {}\nSee \"vireo {}--help\".\n", error.what(),
               app.got_subcommand("run")     ? "run "
               : app.got_subcommand("image") ? "image "
                                             : "");
    return static_cast<int>(ErrorKind::Usage);
  }
}

}  // namespace vireo::cli
