// Another size for the disk, and snapshots: what is done while no request is under way.
#include "block/api/status.h"
#include "block/qcow2/disk.h"

namespace vireo::block::qcow2 {

Io<> Qcow2Disk::resize(u64 size) {
  if (read_only_) return std::unexpected(Status::ReadOnly);
  if ((size & 511) != 0) return std::unexpected(Status::OutOfRange);
  const u64 old = size_;
  if (size < old && header().nb_snapshots > 0) return std::unexpected(Status::Unsupported);
  auto writer = lock_writer();
  TRY(settle_down(writer));
  auto& file = tables_.header_file();
  if (size > old) {
    TRY(tables_.grow_l1(header().l1_entries_for(size)));
    size_ = size;
    writer.unlock();
    // Nothing of the past, nor of the backing image, may come to light.
    const u64 cluster_end = (old + cluster_size() - 1) / cluster_size() * cluster_size();
    u64 end = std::min(size, cluster_end);
    if (parts_.backing) end = std::min(size, std::max(end, parts_.backing->geometry().size));
    if (end > old) TRY(clear({.operation = Operation::WriteZeroes, .offset = old, .length = end - old}));
    writer.lock();
    TRY(settle_down(writer));
    if (parts_.data && header().raw_data_file() && parts_.data->size() < size) TRY(parts_.data->resize(size));
    file.header.size = size;
    return file.switch_over();
  }
  file.header.size = size;
  TRY(file.switch_over());
  size_ = size;
  const u64 entries = header().l2_entries();
  for (u64 index = header().clusters_for(size); index < header().clusters_for(old);) {
    if ((tables_.mapping().l1()[index / entries] & kOffsetMask) == 0) {
      index = (index / entries + 1) * entries;  // nothing there
      continue;
    }
    TRY_ASSIGN(const Cluster cluster, tables_.mapping().get(index));
    if (cluster != Cluster{}) {
      TRY(tables_.mapping().set(index, Cluster{}));
      TRY(tables_.refer(cluster, -1, true));
      if (tables_.crowded()) TRY(tables_.commit());
    }
    ++index;
  }
  return settle_down(writer);
}

namespace {

Result<> told(Io<> done, Storage& file) {
  if (!done) return fail(ErrorKind::Failed, "cannot write {}: {}", file.name(), describe(done.error()));
  return {};
}

}  // namespace

Result<> Qcow2Disk::create_snapshot(const std::string& name) {
  auto writer = lock_writer();
  if (!read_only_) TRY(told(settle_down(writer), file()));
  return qcow2::create_snapshot(tables_, name);
}

Result<> Qcow2Disk::apply_snapshot(const std::string& id_or_name) {
  auto writer = lock_writer();
  if (!read_only_) TRY(told(settle_down(writer), file()));
  TRY(qcow2::apply_snapshot(tables_, id_or_name));
  size_ = header().size;
  return {};
}

Result<> Qcow2Disk::delete_snapshot(const std::string& id_or_name) {
  auto writer = lock_writer();
  if (!read_only_) TRY(told(settle_down(writer), file()));
  return qcow2::delete_snapshot(tables_, id_or_name);
}

}  // namespace vireo::block::qcow2
