#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/commands.h"

namespace vireo::cli {

void add_version(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("version", "Print the version");
  command->callback([&status] {
    fmt::print("vireo {}\n", version());
    status = 0;
  });
}

}  // namespace vireo::cli
