#include "cli/image_options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/commands.h"
#include "cli/run_options.h"
#include "cli/sub_options.h"
#include "host/file.h"

namespace vireo::cli {
namespace {

Result<bool> parse_switch(const std::string& text) {
  if (text == "on" || text == "true") return true;
  if (text == "off" || text == "false") return false;
  return fail(ErrorKind::Usage, "\"{}\" is neither on nor off", text);
}

Result<> apply(const std::string& name, const std::string& value, block::qcow2::NewImage& image) {
  if (name == "cluster_size") {
    TRY_ASSIGN(image.cluster_size, parse_size(value));
  } else if (name == "refcount_bits") {
    TRY_ASSIGN(const u64 bits, parse_size(value));
    image.refcount_bits = static_cast<u32>(std::min<u64>(bits, 128));
  } else if (name == "compat") {
    if (value == "0.10" || value == "v2") {
      image.version = 2;
    } else if (value == "1.1" || value == "v3") {
      image.version = 3;
    } else {
      return fail(ErrorKind::Usage, "compat is 0.10 or 1.1");
    }
  } else if (name == "compression_type") {
    if (value != "zlib" && value != "zstd") return fail(ErrorKind::Usage, "compression_type is zlib or zstd");
    image.compression = value == "zstd" ? block::qcow2::Compression::Zstd : block::qcow2::Compression::Zlib;
  } else if (name == "extended_l2") {
    TRY_ASSIGN(image.extended_l2, parse_switch(value));
  } else if (name == "lazy_refcounts") {
    TRY_ASSIGN(image.lazy_refcounts, parse_switch(value));
  } else if (name == "data_file") {
    image.data_file = value;
  } else if (name == "data_file_raw") {
    TRY_ASSIGN(image.data_file_raw, parse_switch(value));
  } else {
    return fail(
        ErrorKind::Usage,
        "there is no option \"{}\"; there are cluster_size, refcount_bits, compat, compression_type, extended_l2, "
        "lazy_refcounts, data_file and data_file_raw",
        name);
  }
  return {};
}

}  // namespace

int exit_code(const Result<>& result) { return result ? 0 : report(result.error()); }

std::shared_ptr<block::IoThreads> image_threads() {
  return std::make_shared<block::IoThreads>(host::AsyncIo::Engine::Threads);
}

Result<> apply_image_options(const std::vector<std::string>& texts, block::qcow2::NewImage& image) {
  for (const auto& text : texts) {
    TRY_ASSIGN(const auto options, split_sub_options(text));
    for (const auto& [name, value] : options) {
      if (!value) return fail(ErrorKind::Usage, "\"{}\" needs a value", name);
      TRY(apply(name, *value, image));
    }
  }
  return {};
}

Result<std::optional<block::Format>> optional_format(const std::string& name) {
  if (name.empty()) return std::nullopt;
  TRY_ASSIGN(const auto format, block::parse_format(name));
  return format;
}

block::Progress progress_bar() {
  if (!host::is_terminal(2)) return {};
  return [shown = ~u64{0}](u64 done, u64 total) mutable {
    const u64 percent = total == 0 ? 100 : static_cast<u64>(static_cast<u128>(done) * 100 / total);
    if (percent == shown) return;
    shown = percent;
    constexpr u64 kWidth = 40;
    const std::string bar(percent * kWidth / 100, '#');
    fmt::print(stderr, "\r[{:<40}] {:3} %{}", bar, percent, done == total ? "\n" : "");
    std::fflush(stderr);
  };
}

void add_output(CLI::App& command, OutputFormat& format) {
  command.add_option("-o,--output", format.name, "table or json (table)")
      ->type_name("table|json")
      ->check(CLI::IsMember({"table", "json"}));
}

std::string size_text(u64 bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  unsigned unit = 0;
  while (value >= 1024 && unit < 6) value /= 1024, ++unit;
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.3g} {} ({} bytes)", value, kUnits[unit], bytes);
}

}  // namespace vireo::cli
