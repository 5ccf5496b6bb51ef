// The options of `vireo run`: one table, from which the command line, the configuration file and the help are made.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::cli {

/// An option by the name it has both on the command line (with two dashes) and in the file.
struct RunOption {
  const char* name;
  const char* value;  ///< what the help calls its value, nullptr for a flag
  unsigned values;    ///< how many it takes: 0 for a flag, 1 or 2
  const char* help;
  /// Errors are of kind Usage and begin with what is wrong about the value.
  Result<> (*set)(vmm::Config& config, std::span<const std::string> values);
  bool repeatable = false;  ///< may be given again; `set` gets the values of all at once
};

std::span<const RunOption> run_options();
const RunOption* find_run_option(std::string_view name);

/// "512M": a whole number with K, M, G or T (powers of 1024) or nothing (bytes) behind it.
Result<u64> parse_size(const std::string& text);

}  // namespace vireo::cli
