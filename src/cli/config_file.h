// A virtual machine's configuration as TOML: the options of `vireo run` under the same names.
//
//   kernel = "vmlinuz"
//   memory = "512M"
//   cpus = 2
//   save-on = ["SIGUSR1", "vm.state"]
#pragma once

#include <string>

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::cli {

/// Sets in `config` what the file names. Paths in it are taken as they are, from the current directory. Errors name
/// file, line and column.
Result<> apply_config_file(const std::string& path, vmm::Config& config);
/// The same from text; `path` is for messages.
Result<> apply_config_text(std::string_view text, const std::string& path, vmm::Config& config);

}  // namespace vireo::cli
