#include "vmm/seed_disk.h"

#include "block/seed/seed.h"
#include "host/file.h"

namespace vireo::vmm {
namespace {

/// A whole file of up to `largest` bytes. One byte more is read, so that what is too large shows.
Result<std::string> read_text(const std::string& path, u64 largest) {
  if (path.empty()) return std::string();
  TRY_ASSIGN(const auto file, host::open_to_read(path));
  std::vector<u8> bytes(largest + 1);
  TRY_ASSIGN(const auto size, host::read_up_to(file, bytes, path));
  if (size == 0) return fail(ErrorKind::Usage, "{} is empty", path);
  return std::string(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
}

}  // namespace

Result<std::optional<SeedDisk>> make_seed_disk(const SeedConfig& config) {
  if (config.user_data.empty() && config.ssh_key.empty() && config.hostname.empty()) return std::nullopt;
  block::Seed seed;
  seed.hostname = config.hostname;
  TRY_ASSIGN(seed.user_data, read_text(config.user_data, block::kMaxUserData));
  TRY_ASSIGN(seed.ssh_keys, read_text(config.ssh_key, block::kMaxSshKeys));
  TRY_ASSIGN(const auto image, block::make_seed(seed));

  SeedDisk result;
  TRY_ASSIGN(result.file, host::nameless_file("vireo-seed"));
  TRY(host::append(result.file, image));
  result.disk.file = fmt::format("/proc/self/fd/{}", result.file.get());
  result.disk.format = block::Format::Raw;
  result.disk.read_only = true;
  result.disk.serial = "cidata";
  return result;
}

}  // namespace vireo::vmm
