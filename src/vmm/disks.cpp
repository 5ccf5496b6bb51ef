#include "vmm/disks.h"

namespace vireo::vmm {

Result<std::vector<OpenDisk>> open_disks(const std::vector<DiskConfig>& disks) {
  std::vector<OpenDisk> opened;
  for (const auto& disk : disks) {
    // Threads of its own: a slow disk does not hold up another.
    TRY_ASSIGN(auto image,
               block::open_image(disk.file, {.format = disk.format, .read_only = disk.read_only, .cache = disk.cache},
                                 std::make_shared<block::IoThreads>()));
    if (image->geometry().size == 0) return fail(ErrorKind::Usage, "{} is empty, which no disk is", disk.file);
    opened.push_back({std::move(image), disk.serial, disk.id, disk.file, disk.cache});
  }
  return opened;
}

}  // namespace vireo::vmm
