#include "cli/disk_option.h"

#include <algorithm>

#include "api/block_options.h"
#include "cli/sub_options.h"

namespace vireo::cli {
namespace {

constexpr std::size_t kMaxSerial = 20;  ///< VIRTIO_BLK_ID_BYTES (virtio 1.2, 5.2.6)

Result<block::Cache> parse_cache(const std::string& text) {
  if (text == "writeback") return block::Cache::Writeback;
  if (text == "none") return block::Cache::None;
  if (text == "unsafe") return block::Cache::Unsafe;
  return fail(ErrorKind::Usage, "cache={} is unknown; choose writeback, none or unsafe", text);
}

Result<> set_serial(vmm::DiskConfig& disk, const std::string& text) {
  const bool good = !text.empty() && text.size() <= kMaxSerial &&
                    std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7F; });
  if (!good) {
    return fail(ErrorKind::Usage, "serial=\"{}\" is not up to {} printable ASCII characters", text, kMaxSerial);
  }
  disk.serial = text;
  return {};
}

}  // namespace

Result<vmm::DiskConfig> parse_disk(const std::string& text) {
  if (text.empty() || text.front() == ',') return fail(ErrorKind::Usage, "the name of the disk's file is empty");
  TRY_ASSIGN(auto options, split_sub_options(text));
  vmm::DiskConfig disk;
  // The file's name may have a '=' in it.
  auto& file = options.front();
  disk.file = file.value ? fmt::format("{}={}", file.name, *file.value) : file.name;
  options.erase(options.begin());
  for (const auto& [name, value] : options) {
    if (name == "readonly" && (!value || value == "on" || value == "off")) {
      disk.read_only = value != "off";
    } else if (name == "format" && value) {
      TRY_ASSIGN(disk.format, block::parse_format(*value));
    } else if (name == "cache" && value) {
      TRY_ASSIGN(disk.cache, parse_cache(*value));
    } else if (name == "serial" && value) {
      TRY(set_serial(disk, *value));
    } else if (name == "id" && value) {
      TRY_ASSIGN(disk.id, parse_id(*value, api::BlockOptions::kMaxNodeName));
    } else {
      return fail(ErrorKind::Usage, "\"{}\" is not understood; there are format=, readonly, cache=, serial= and id=",
                  value ? name + "=" + *value : name);
    }
  }
  return disk;
}

}  // namespace vireo::cli
