#include "support/memory_disk.h"
#include "virtio/blk/blk.h"
#include "virtio_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  test::MemoryDisk disk(64 * kKiB);
  if (size != 0) {
    disk.change_geometry().block_size = (data[0] & 1) != 0 ? 4096 : 512;
    disk.change_geometry().discard_alignment = (data[0] & 2) != 0 ? 4096 : 0;
    disk.change_geometry().write_zeroes = (data[0] & 4) != 0;
    disk.change_geometry().read_only = (data[0] & 0x30) == 0x30;
  }
  fuzz::play(
      {data, size}, [&] { return std::make_unique<virtio::Blk>(disk, "serial", 2); },
      [&](u8 byte) {
        disk.hold = (byte & 1) != 0;
        disk.result = (byte & 6) == 6 ? block::Status::IoError : block::Status::Ok;
        if (!disk.hold) disk.complete_all();
      });
  return 0;
}
