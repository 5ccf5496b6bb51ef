#include <filesystem>
#include <random>

#include "block/raw/raw.h"
#include "block/tools/copy.h"
#include "block/tools/new_disk.h"
#include "host/file.h"
#include "host/file_io.h"

namespace vireo::block {

TemporaryDisk::~TemporaryDisk() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

Result<TemporaryDisk> TemporaryDisk::create(const std::string& target, const NewDisk& disk,
                                            const std::shared_ptr<IoThreads>& threads) {
  TemporaryDisk made;
  made.target_ = target;
  // Somebody may be using what is to be replaced.
  if (std::filesystem::exists(target)) TRY(open_file(target, {.write = true}, threads));
  const auto path = fmt::format("{}.{:08x}.tmp", target, std::random_device()());
  TRY_ASSIGN(auto file, open_file(path, {.write = true, .create = true}, threads));
  made.path_ = path;
  if (disk.format == Format::Raw) {
    TRY(told(file->resize(disk.image.size), "set the size of the new image"));
    TRY(told(file->flush(), "write the new image"));
    return made;
  }
  if (!disk.image.data_file.empty()) {
    TRY_ASSIGN(const auto data_path, resolve(target, disk.image.data_file));
    TRY_ASSIGN(const auto data, open_file(data_path, {.write = true, .create = true}, threads));
    TRY(told(data->resize(disk.image.size), "set the size of the data file"));
    TRY(told(data->flush(), "write the data file"));
  }
  TRY(qcow2::create(*file, disk.image));
  return made;
}

Result<> TemporaryDisk::put_in_place() {
  TRY(host::put_in_place(path_, target_));
  path_.clear();
  return {};
}

Result<> create_disk(const std::string& path, const NewDisk& disk, const std::shared_ptr<IoThreads>& threads) {
  if (disk.format == Format::Qcow2 && !disk.image.backing_file.empty()) {
    TRY_ASSIGN(const auto backing, resolve(path, disk.image.backing_file));
    TRY_ASSIGN(const auto format, parse_format(disk.image.backing_format));
    TRY(open_image(backing, {.format = format, .read_only = true, .lock = false}, threads));
  }
  TRY_ASSIGN(auto made, TemporaryDisk::create(path, disk, threads));
  return made.put_in_place();
}

}  // namespace vireo::block
