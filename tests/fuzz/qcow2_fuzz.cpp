// A hostile qcow2 file: opened, checked, read, written, given snapshots and another size. The first byte says what is
// done.
#include "block/qcow2/check.h"
#include "unit/block/recorded_storage.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  using namespace vireo::block;
  if (size < 2 || size > 256 * kKiB) return 0;
  const u8 what = data[0];
  auto log = std::make_shared<test::WriteLog>();
  auto file = std::make_unique<test::RecordedStorage>(std::vector<u8>(data + 1, data + size), 0, log);
  file->writes_left = 200;
  const auto header = qcow2::read_header(*file);
  if (!header) return 0;
  // Not what makes a hostile file, but what makes this slow.
  if (header->size > 64 * kMiB || header->cluster_bits > 16 || header->refcount_table_clusters > 4 ||
      header->l1_size > 4096 || header->nb_snapshots > 4) {
    return 0;
  }
  qcow2::Parts parts;
  parts.read_only = (what & 1) != 0;
  parts.keep_dirty = (what & 2) != 0;
  parts.caches = {.l2 = 64 * kKiB, .refcounts = 64 * kKiB};
  if (header->has_data_file()) parts.data = std::make_unique<test::RecordedStorage>(std::vector<u8>(4096), 1, log);
  parts.file = std::move(file);
  const auto opened = qcow2::Qcow2::open(*header, std::move(parts));
  if (!opened) return 0;
  auto& disk = **opened;
  (void)qcow2::check(disk);
  std::vector<u8> bytes(3 * 4096, what);
  const u64 end = disk.geometry().size;
  for (const u64 offset : {u64{0}, u64{512}, end / 2 / 512 * 512, end < 12288 ? u64{0} : end - 12288}) {
    (void)disk.read(offset, bytes);
    (void)disk.write(offset, bytes);
    (void)disk.write_zeroes(offset, 8192, (what & 4) != 0);
    (void)disk.discard(offset, 65536);
    (void)disk.extent_at(offset, 4096);
  }
  (void)disk.flush();
  (void)disk.write_compressed(0, std::span(bytes).first(std::min<u64>(4096, header->cluster_size())));
  if ((what & 8) != 0) (void)disk.create_snapshot("a");
  if ((what & 16) != 0) (void)disk.apply_snapshot("1");
  if ((what & 32) != 0) (void)disk.delete_snapshot("1");
  if ((what & 64) != 0) (void)disk.resize(end + 65536);
  if ((what & 128) != 0) (void)qcow2::repair(disk, qcow2::Repair::All);
  return 0;
}
