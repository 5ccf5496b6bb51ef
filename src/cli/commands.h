// The sub-commands of `vireo`, one file each. Each adds itself to the command line; its action is run by CLI11 once the
// line is understood, and leaves the process's exit code in `status`.
#pragma once

#include <string_view>

#include "base/result.h"

namespace CLI {
class App;
}

namespace vireo::cli {

void add_run(CLI::App& app, int& status);
void add_image(CLI::App& app, int& status);
void add_version(CLI::App& app, int& status);

std::string_view version();

/// Prints the error as people get to see it and returns its exit code.
int report(const Error& error);

/// The whole program.
int main(int argc, char** argv);

}  // namespace vireo::cli
