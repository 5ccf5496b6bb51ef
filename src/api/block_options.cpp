#include "api/block_options.h"

#include <algorithm>
#include <cctype>
#include <functional>

namespace vireo::api {
namespace {

using Driver = BlockOptions::Driver;

struct Option {
  const char* name;
  bool file, format;  ///< who has it
  std::function<Result<>(BlockOptions& options, const Json& value, unsigned depth)> set;
};

std::unexpected<Error> wrong_type(const char* name, const char* expected) {
  return fail(ErrorKind::Usage, "Invalid parameter type for '{}', expected: {}", name, expected);
}

Result<std::string> text_of(const char* name, const Json& value, std::size_t longest) {
  if (!value.is_string()) return wrong_type(name, "string");
  auto text = value.get<std::string>();
  if (text.size() > longest || text.find('\0') != text.npos) {
    return fail(ErrorKind::Usage, "Parameter '{}' expects up to {} characters", name, longest);
  }
  return text;
}

Result<> set_flag(bool& flag, const char* name, const Json& value) {
  if (!value.is_boolean()) return wrong_type(name, "boolean");
  flag = value.get<bool>();
  return {};
}

Result<> set_cache(BlockOptions& options, const Json& value) {
  if (!value.is_object()) return wrong_type("cache", "object");
  for (const auto& [name, flag] : value.items()) {
    if (name == "direct") {
      TRY(set_flag(options.direct, "cache.direct", flag));
    } else if (name == "no-flush") {
      TRY(set_flag(options.no_flush, "cache.no-flush", flag));
    } else {
      return fail(ErrorKind::Usage, "Parameter 'cache.{}' is unexpected", name);
    }
  }
  return {};
}

Result<> set_child(BlockOptions::Child& child, const char* name, const Json& value, unsigned depth) {
  if (value.is_object()) {
    TRY_ASSIGN(auto options, BlockOptions::parse(value, depth + 1));
    child = std::make_unique<BlockOptions>(std::move(options));
    return {};
  }
  if (!value.is_string()) return wrong_type(name, "BlockdevRef");
  TRY_ASSIGN(child, text_of(name, value, BlockOptions::kMaxNodeName));
  return {};
}

Result<> set_backing(BlockOptions& options, const Json& value, unsigned depth) {
  if (options.driver != Driver::Qcow2) return fail(ErrorKind::Usage, "Parameter 'backing' is unexpected");
  options.no_backing = value.is_null() || value == "";
  if (options.no_backing) return {};
  return set_child(options.backing, "backing", value, depth);
}

const Option kOptions[] = {
    {"node-name", true, true,
     [](BlockOptions& options, const Json& value, unsigned) -> Result<> {
       TRY_ASSIGN(options.node_name, text_of("node-name", value, BlockOptions::kMaxNodeName));
       if (is_identifier(options.node_name, BlockOptions::kMaxNodeName)) return {};
       return fail(ErrorKind::Usage, "Invalid node-name: '{}'", options.node_name);
     }},
    {"read-only", true, true,
     [](BlockOptions& options, const Json& value, unsigned) {
       return set_flag(options.read_only, "read-only", value);
     }},
    {"auto-read-only", true, true,
     [](BlockOptions&, const Json& value, unsigned) {
       bool taken = false;
       return set_flag(taken, "auto-read-only", value);
     }},
    {"discard", true, true,
     [](BlockOptions&, const Json& value, unsigned) -> Result<> {
       TRY_ASSIGN(const auto what, text_of("discard", value, 16));
       if (what == "ignore" || what == "unmap") return {};
       return fail(ErrorKind::Usage, "Parameter 'discard' does not accept value '{}'", what);
     }},
    {"cache", true, true, [](BlockOptions& options, const Json& value, unsigned) { return set_cache(options, value); }},
    {"filename", true, false,
     [](BlockOptions& options, const Json& value, unsigned) -> Result<> {
       TRY_ASSIGN(options.filename, text_of("filename", value, BlockOptions::kMaxFilename));
       return {};
     }},
    {"file", false, true,
     [](BlockOptions& options, const Json& value, unsigned depth) {
       return set_child(options.file, "file", value, depth);
     }},
    {"backing", false, true,
     [](BlockOptions& options, const Json& value, unsigned depth) { return set_backing(options, value, depth); }},
};

Result<Driver> parse_driver(const Json& object) {
  if (!object.contains("driver")) return fail(ErrorKind::Usage, "Parameter 'driver' is missing");
  TRY_ASSIGN(const auto name, text_of("driver", object["driver"], 32));
  if (name == "raw") return Driver::Raw;
  if (name == "qcow2") return Driver::Qcow2;
  if (name == "file" || name == "host_device") return Driver::File;
  return fail(ErrorKind::Usage, "Parameter 'driver' does not accept value '{}'", name);
}

}  // namespace

Result<BlockOptions> BlockOptions::parse(const Json& object, unsigned depth) {
  if (depth >= kMaxDepth) return fail(ErrorKind::Usage, "there are more than {} nodes in each other", kMaxDepth);
  BlockOptions options;
  TRY_ASSIGN(options.driver, parse_driver(object));
  const bool file = options.driver == Driver::File;
  for (const auto& [name, value] : object.items()) {
    if (name == "driver") continue;
    const auto* option = std::ranges::find_if(kOptions, [&](const Option& one) { return one.name == name; });
    if (option == std::end(kOptions) || !(file ? option->file : option->format)) {
      return fail(ErrorKind::Usage, "Parameter '{}' is unexpected", name);
    }
    TRY(option->set(options, value, depth));
  }
  if (file && options.filename.empty()) return fail(ErrorKind::Usage, "Parameter 'filename' is missing");
  if (!file && std::holds_alternative<std::monostate>(options.file)) {
    return fail(ErrorKind::Usage, "Parameter 'file' is missing");
  }
  if (options.direct && options.no_flush) {
    return fail(ErrorKind::Usage, "choose one of cache.direct and cache.no-flush");
  }
  return options;
}

bool is_identifier(const std::string& name, std::size_t longest) {
  return !name.empty() && name.size() <= longest && std::isalpha(static_cast<unsigned char>(name[0])) != 0 &&
         std::ranges::all_of(name,
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_'; });
}

const char* driver_name(Driver driver) {
  return driver == Driver::File ? "file" : driver == Driver::Raw ? "raw" : "qcow2";
}

}  // namespace vireo::api
