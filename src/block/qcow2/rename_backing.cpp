// Another backing file in the header. The name is written where nobody looks, and then the header's first sector, which
// says where it is and in which format the file is, at once.
#include <algorithm>

#include "base/bytes.h"
#include "block/api/status.h"
#include "block/qcow2/disk.h"

namespace vireo::block::qcow2 {
namespace {

/// A place for the name behind the first sector, away from the old one if there is room for both.
u64 place_for_name(u64 cluster_size, u64 size, u64 old, u64 old_size) {
  for (u64 end = cluster_size; end >= 512 + size; end -= std::max<u64>(size, 8)) {
    const u64 start = (end - size) / 8 * 8;
    if (start >= 512 && (start + size <= old || old + old_size <= start)) return start;
  }
  return (cluster_size - size) / 8 * 8;
}

}  // namespace

Result<> Qcow2Disk::set_backing_name(const std::string& name, const std::string& format) {
  auto writer = lock_writer();
  const auto told = [&](const Io<>& done) -> Result<> {
    if (!done) return fail(ErrorKind::Failed, "cannot write {}: {}", file().name(), describe(done.error()));
    return {};
  };
  if (read_only_) return fail(ErrorKind::Denied, "{} is read-only", file().name());
  if (header().raw_data_file() && !name.empty()) {
    return fail(ErrorKind::Usage, "{} has a raw data file and so no backing file", file().name());
  }
  TRY(told(settle_down(writer)));
  auto& header = tables_.header_file().header;
  Header changed = header;
  changed.backing_file = name;
  changed.backing_format = format;
  // Names of features are for people; they may leave no room.
  std::erase_if(changed.others, [](const Extension& other) { return other.type == extension::FeatureNames; });
  TRY_ASSIGN(auto bytes, format_header(changed));
  if (changed.cluster_size() > 512 && !name.empty()) {
    std::array<u8, 512> old{};
    TRY(told(file().read(0, old)));
    const u64 place = place_for_name(changed.cluster_size(), name.size(), load_be<u64>(old.data() + 8),
                                     load_be<u32>(old.data() + 16));
    const u64 at = load_be<u64>(bytes.data() + field::backing_file_offset);
    if (at > 512 || place < 512) {
      return fail(ErrorKind::Usage, "{} has no room for another backing file's name", file().name());
    }
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + 512, u8{0});
    store_be(bytes.data() + field::backing_file_offset, place);
    const std::span<const u8> text(reinterpret_cast<const u8*>(name.data()), name.size());
    TRY(told(file().write(place, text)));
    TRY(told(file().flush()));
  }
  TRY(told(file().write(0, std::span<const u8>(bytes).first(512))));
  TRY(told(file().flush()));
  header = changed;
  return {};
}

Result<> Qcow2Disk::look_at_snapshot(const std::string& id_or_name) {
  auto writer = lock_writer();
  TRY_ASSIGN(const auto all, read_snapshots(tables_));
  const auto* found = find_snapshot(all, id_or_name);
  if (found == nullptr) return fail(ErrorKind::NotFound, "{} has no snapshot \"{}\"", file().name(), id_or_name);
  if (!read_only_) return fail(ErrorKind::WrongState, "{} is open for writing", file().name());
  auto& header = tables_.header_file().header;
  header.l1_table_offset = found->l1_table_offset;
  header.l1_size = found->l1_size;
  header.size = found->disk_size;
  size_ = header.size;
  if (auto loaded = tables_.mapping().reload(); !loaded) {
    return fail(ErrorKind::Failed, "cannot read {}: {}", file().name(), describe(loaded.error()));
  }
  return {};
}

}  // namespace vireo::block::qcow2
