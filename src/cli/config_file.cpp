#include "cli/config_file.h"

#include <vector>

// Header only: the library is built with exceptions.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include "cli/run_options.h"
#include "host/file.h"

namespace vireo::cli {
namespace {

constexpr std::size_t kMaxFile = 1 << 20;

std::unexpected<Error> fail_at(const std::string& path, const toml::source_region& where, std::string_view what) {
  return fail(ErrorKind::Usage, "{}:{}:{}: {}", path, where.begin.line, where.begin.column, what);
}

/// A value as it would be written on the command line; false for one that could not be.
bool as_text(const toml::node& node, std::string& text) {
  if (const auto* string = node.as_string()) {
    text = string->get();
  } else if (const auto* number = node.as_integer()) {
    text = fmt::format("{}", number->get());
  } else {
    return false;
  }
  return true;
}

Result<> apply(const RunOption& option, const toml::node& node, const std::string& path, vmm::Config& config) {
  std::vector<std::string> values;
  if (option.values == 0) {
    const auto* flag = node.as_boolean();
    if (flag == nullptr) return fail_at(path, node.source(), fmt::format("{} is either true or false", option.name));
    if (!flag->get()) return {};
  } else if (const auto* list = node.as_array(); option.repeatable && list != nullptr) {
    for (const auto& one : *list) {
      if (!as_text(one, values.emplace_back())) {
        return fail_at(path, one.source(), fmt::format("{} must be an array of strings", option.name));
      }
    }
  } else if (option.values == 1) {
    if (!as_text(node, values.emplace_back())) {
      return fail_at(path, node.source(), fmt::format("{} must be a string or a whole number", option.name));
    }
  } else {
    const auto* array = node.as_array();
    const bool right = array != nullptr && array->size() == option.values;
    for (std::size_t i = 0; right && i < option.values; ++i) {
      if (!as_text(*array->get(i), values.emplace_back())) values.clear();
    }
    if (values.size() != option.values) {
      return fail_at(path, node.source(),
                     fmt::format("{} must be an array of {} strings: {}", option.name, option.values, option.value));
    }
  }
  if (auto set = option.set(config, values); !set) {
    return fail_at(path, node.source(), fmt::format("{}: {}", option.name, set.error().message));
  }
  return {};
}

}  // namespace

Result<> apply_config_text(std::string_view text, const std::string& path, vmm::Config& config) {
  const auto parsed = toml::parse(text, path);
  if (parsed.failed()) return fail_at(path, parsed.error().source(), parsed.error().description());
  for (const auto& [key, node] : parsed.table()) {
    const auto* option = find_run_option(key.str());
    if (option == nullptr) {
      return fail_at(path, key.source(), fmt::format("there is no option \"{}\"; see \"vireo run --help\"", key.str()));
    }
    TRY(apply(*option, node, path, config));
  }
  return {};
}

Result<> apply_config_file(const std::string& path, vmm::Config& config) {
  TRY_ASSIGN(const auto file, host::open_to_read(path));
  std::string text(kMaxFile + 1, '\0');
  TRY_ASSIGN(const auto size, host::read_at(file, {reinterpret_cast<u8*>(text.data()), text.size()}, 0, path));
  if (size > kMaxFile) return fail(ErrorKind::Usage, "{} is too long for a configuration file", path);
  text.resize(size);
  return apply_config_text(text, path, config);
}

}  // namespace vireo::cli
