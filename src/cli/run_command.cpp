#include <CLI/CLI.hpp>
#include <deque>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/run_options.h"
#include "vmm/run.h"

namespace vireo::cli {
namespace {

constexpr const char* kFooter =
    "The serial line is on the terminal, which is raw meanwhile; Ctrl-] leaves and stops the machine. The process ends "
    "with 0 when\n"
    "the guest powers off. SIGTERM presses the machine's power button, a second one pulls the plug; both end with 0 as "
    "well.\n"
    "Options on the command line override those in the configuration file.\n\n"
    "Examples:\n"
    "  vireo run --kernel vmlinuz --initrd initrd --append \"console=ttyS0\" --memory 1G --cpus 2\n"
    "  vireo run --config vm.toml            # kernel = \"vmlinuz\", memory = \"1G\", cpus = 2, ...\n"
    "  vireo run --config vm.toml --save-on SIGUSR1 vm.state\n"
    "  vireo run --restore vm.state";

struct Line {
  std::string config_file;
  int verbose = 0;
  std::deque<std::vector<std::string>> values;  ///< by option, in the table's order
};

Result<vmm::Config> configure(CLI::App& command, const Line& line) {
  vmm::Config config;
  if (!line.config_file.empty()) TRY(apply_config_file(line.config_file, config));
  std::size_t index = 0;
  for (const auto& option : run_options()) {
    const auto& values = line.values[index++];
    const auto name = fmt::format("--{}", option.name);
    if (command.count(name) == 0) continue;
    if (auto set = option.set(config, values); !set) return fail(set.error().kind, "{}: {}", name, set.error().message);
  }
  return config;
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("run", "Run a virtual machine in the foreground");
  auto line = std::make_shared<Line>();
  command->footer(kFooter);
  command->add_option("--config", line->config_file, "TOML file with these options, under the same names")
      ->type_name("FILE");
  for (const auto& option : run_options()) {
    const auto name = fmt::format("--{}", option.name);
    auto& values = line->values.emplace_back();
    if (option.values == 0) {
      command->add_flag(name, option.help);
    } else {
      command->add_option(name, values, option.help)
          ->type_name(option.value)
          ->type_size(static_cast<int>(option.values))
          ->expected(1)
          ->allow_extra_args(false)
          ->multi_option_policy(option.repeatable ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::Throw);
    }
  }
  command->add_flag("-v,--verbose", line->verbose, "log more; twice: everything");
  command->callback([command, line, &status] {
    if (line->verbose > 0) log::set_level(line->verbose > 1 ? log::Level::Debug : log::Level::Info);
    const auto config = configure(*command, *line);
    if (!config) {
      status = report(config.error());
      return;
    }
    const auto result = vmm::run(*config);
    status = result ? *result : report(result.error());
  });
}

}  // namespace vireo::cli
