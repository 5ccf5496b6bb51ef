#include "vmm/firmware_file.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace vireo::vmm {
namespace {

namespace fs = std::filesystem;

struct Known {
  const char* name;  ///< the word of --firmware
  const char* what;  ///< for people
  const char* file;
  const char* folder;   ///< of Debian's package
  const char* package;  ///< and its name for scripts/fetch-guest
};
constexpr Known kKnown[] = {
    {"bios", "SeaBIOS", "bios-256k.bin", "/usr/share/seabios", "seabios"},
    {"uefi", "OVMF", "OVMF.fd", "/usr/share/ovmf", "ovmf"},
};

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
  const auto* known = std::ranges::find_if(kKnown, [&](const Known& k) { return name == k.name; });
  if (known == std::end(kKnown)) return name;
  std::vector<fs::path> folders;
  const auto list = variable("VIREO_FIRMWARE");
  for (std::size_t at = 0; at < list.size();) {
    const auto end = std::min(list.find(':', at), list.size());
    if (end != at) folders.emplace_back(list.substr(at, end - at));
    at = end + 1;
  }
  folders.emplace_back(known->folder);
  for (auto& version : fetched(cache() / "guests" / known->package)) folders.push_back(std::move(version));
  for (const auto& folder : folders) {
    if (is_file(folder / known->file)) return (folder / known->file).string();
  }
  return fail(
      ErrorKind::NotFound,
      "{} is not there: install Debian's package {}, run scripts/fetch-guest {}, or name the folder that holds {} "
      "in $VIREO_FIRMWARE",
      known->what, known->package, known->package, known->file);
}

}  // namespace vireo::vmm
