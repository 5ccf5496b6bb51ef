#include "vmm/firmware_file.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace vireo::vmm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBios = "bios-256k.bin";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// Where scripts/fetch-guest keeps things.
fs::path cache() {
  if (const auto own = variable("VIREO_CACHE"); !own.empty()) return own;
  if (const auto shared = variable("XDG_CACHE_HOME"); !shared.empty()) return fs::path(shared) / "vireo";
  return fs::path(variable("HOME")) / ".cache/vireo";
}

/// The versions that were fetched, newest first.
std::vector<fs::path> fetched(const fs::path& folder) {
  std::vector<fs::path> versions;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!at->path().filename().string().starts_with('.')) versions.push_back(at->path());
  }
  std::ranges::sort(versions, std::greater{});
  return versions;
}

}  // namespace

Result<std::string> find_firmware(const std::string& name) {
  if (name != "bios") return name;
  std::vector<fs::path> folders;
  const auto list = variable("VIREO_FIRMWARE");
  for (std::size_t at = 0; at < list.size();) {
    const auto end = std::min(list.find(':', at), list.size());
    if (end != at) folders.emplace_back(list.substr(at, end - at));
    at = end + 1;
  }
  folders.emplace_back("/usr/share/seabios");
  for (auto& version : fetched(cache() / "guests/seabios")) folders.push_back(std::move(version));
  for (const auto& folder : folders) {
    if (is_file(folder / kBios)) return (folder / kBios).string();
  }
  return fail(ErrorKind::NotFound,
              "SeaBIOS is not there: install Debian's package seabios, run scripts/fetch-guest seabios, or name the "
              "folder that holds {} in $VIREO_FIRMWARE",
              kBios);
}

}  // namespace vireo::vmm
