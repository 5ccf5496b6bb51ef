// What the sub-commands of `vireo image` share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "block/tools/tools.h"

namespace CLI {
class App;
}

namespace vireo::cli {

void add_image_create(CLI::App& image, int& status);
void add_image_info(CLI::App& image, int& status);
void add_image_convert(CLI::App& image, int& status);
void add_image_check(CLI::App& image, int& status);
void add_image_resize(CLI::App& image, int& status);
void add_image_snapshot(CLI::App& image, int& status);
void add_image_commit(CLI::App& image, int& status);
void add_image_rebase(CLI::App& image, int& status);

/// Prints an error and gives the exit code.
int exit_code(const Result<>& result);

std::shared_ptr<block::IoThreads> image_threads();

/// "cluster_size=64K,lazy_refcounts=on": qemu-img's names for qcow2.
Result<> apply_image_options(const std::vector<std::string>& texts, block::qcow2::NewImage& image);
/// Empty: nothing.
Result<std::optional<block::Format>> optional_format(const std::string& name);

/// A bar on standard error, when that is a terminal; nothing otherwise.
block::Progress progress_bar();

/// -o table|json
struct OutputFormat {
  std::string name = "table";
  bool json() const { return name == "json"; }
};
void add_output(CLI::App& command, OutputFormat& format);

/// "1.5 GiB (1610612736 bytes)"
std::string size_text(u64 bytes);

}  // namespace vireo::cli
