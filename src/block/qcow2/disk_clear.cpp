// Zeroes, discards and flushes in the calling thread.
#include <algorithm>

#include "block/qcow2/disk.h"

namespace vireo::block::qcow2 {
namespace {

constexpr u64 kZeroes = 256 * kKiB;  ///< bytes that are written at a time where there is no other way

}  // namespace

Io<> Qcow2Disk::write_zeroes_as_data(u64 offset, u64 length) {
  std::vector<u8> zeroes(std::min(length, kZeroes));
  while (length > 0) {
    const iovec piece{zeroes.data(), std::min<u64>(length, zeroes.size())};
    TRY_ASSIGN(const u64 written, write_some(offset, {&piece, 1}, piece.iov_len));
    offset += written;
    length -= written;
  }
  return {};
}

Io<bool> Qcow2Disk::clear_in_cluster(u64 offset, u64 length, bool discard, bool may_unmap) {
  const u64 index = cluster_of(offset), end = offset + length;
  const bool rest_of_disk = end == size_;  // what is behind the end is nobody's
  auto writer = lock_writer();
  wait_until_free(writer, index, index);
  TRY_ASSIGN(const Cluster old, tables_.mapping().get(index));
  u32 bits = subclusters_of(index, offset, end);
  const u64 sub = header().subcluster_size();
  if (offset % sub != 0 || (end % sub != 0 && !rest_of_disk)) return false;
  const bool whole = bits == (rest_of_disk ? subclusters_of(index, offset / cluster_size() * cluster_size(), end)
                                           : all_subclusters(header()));
  if (whole) bits = all_subclusters(header());
  const bool unmap = (discard || may_unmap) && !header().has_data_file();
  if (reads_zero(old) && (!unmap || !old.allocated)) return true;
  if (old.compressed && !whole) return false;
  if (header().version < 3) {
    // There are no zero clusters. What was never there reads as the backing image, or as zeroes.
    if (!discard && parts_.backing) return false;
    if (!whole) return discard;
    TRY(prepare_change());
    TRY(tables_.mapping().set(index, Cluster{}));
    TRY(tables_.refer(old, -1, true));
    return true;
  }
  TRY(prepare_change());
  if (header().has_data_file() && old.allocated && (header().raw_data_file() || discard || may_unmap)) {
    // Zeroes, also for a discard: until the table is in the file, its old entry reads what is there.
    TRY(tables_.data().write_zeroes(old.host + (offset & (cluster_size() - 1)), length, discard || may_unmap));
  }
  Cluster cluster = old;
  cluster.compressed = false;
  cluster.data &= ~bits;
  cluster.zero |= bits;
  // A place that is kept must be this cluster's alone.
  const bool give_up = old.compressed || (whole && old.allocated && (unmap || !old.own()));
  if (give_up) {
    cluster.host = 0;
    cluster.allocated = cluster.copied = false;
  }
  TRY(tables_.mapping().set(index, cluster));
  if (give_up) TRY(tables_.refer(old, -1, true));
  return true;
}

Io<> Qcow2Disk::clear(const Request& request) {
  const bool discard = request.operation == Operation::Discard;
  const u64 sub = header().subcluster_size(), end = request.offset + request.length;
  for (u64 at = request.offset; at < end;) {
    // Up to the next subcluster's edge, or all whole subclusters in this cluster.
    const u64 cluster_end = std::min(end, (at / cluster_size() + 1) * cluster_size());
    u64 next = cluster_end;
    if (at % sub != 0) {
      next = std::min(end, (at / sub + 1) * sub);
    } else if (next % sub != 0 && next != size_ && next - at > sub) {
      next = next / sub * sub;
    }
    TRY_ASSIGN(const bool done, clear_in_cluster(at, next - at, discard, request.may_unmap));
    if (!done && !discard) TRY(write_zeroes_as_data(at, next - at));
    at = next;
  }
  return {};
}

/// Before places become free: that of the cluster which is kept unpacked may soon be another's.
void Qcow2Disk::forget_unpacked() {
  const std::lock_guard lock(unpacked_mutex_);
  unpacked_.reset();
  unpacked_host_ = 0;
}

Io<> Qcow2Disk::commit() {
  tables_.refcounts().set_epoch(epochs_.advance());
  const u64 oldest = epochs_.oldest();
  forget_unpacked();
  TRY(tables_.commit(oldest));
  dirty_ = tables_.dirty();
  return {};
}

Io<> Qcow2Disk::flush_tables() {
  if (read_only_) return {};
  const auto writer = lock_writer();
  return commit();
}

/// No request is under way: everything is in the file, and nothing waits to be free.
Io<> Qcow2Disk::settle_down(Writer&) {
  tables_.refcounts().set_epoch(epochs_.advance());
  forget_unpacked();
  TRY(tables_.begin_changes());
  dirty_ = true;
  while (tables_.dirty()) TRY(tables_.commit());
  return {};
}

}  // namespace vireo::block::qcow2
