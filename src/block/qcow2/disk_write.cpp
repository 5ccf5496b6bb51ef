// Writing in the calling thread: finding place, copying what the write does not cover, and only then mapping it.
#include <algorithm>

#include "block/qcow2/compression.h"
#include "block/qcow2/disk.h"
#include "block/qcow2/memory_slice.h"

namespace vireo::block::qcow2 {
namespace {

constexpr u64 kMaxRun = 16 * kMiB;  ///< bytes that are allocated and written at a time

}  // namespace

/// Clusters of the disk side by side that get a place, and the write that fills them.
struct Qcow2Disk::Allocation {
  u64 first = 0, count = 0;        ///< clusters of the disk
  u64 host = 0;                    ///< of the first
  bool in_place = false;           ///< the cluster has its place already, and subclusters get data
  u64 from = 0, to = 0;            ///< bytes of the disk that the request writes
  u64 copy_from = 0, copy_to = 0;  ///< with what is copied before and behind
};

void Qcow2Disk::wait_until_free(Writer& writer, u64 first, u64 last) {
  freed_.wait(writer, [&] {
    return std::ranges::none_of(busy_, [&](const Busy& busy) { return busy.first <= last && first <= busy.last; });
  });
}

Io<> Qcow2Disk::prepare_change() {
  if (tables_.crowded()) TRY(commit());
  TRY(tables_.begin_changes());
  dirty_ = true;
  return {};
}

Io<u64> Qcow2Disk::write_some(u64 offset, std::span<const iovec> memory, u64 length) {
  auto writer = lock_writer();
  TRY(prepare_change());
  wait_until_free(writer, cluster_of(offset), cluster_of(offset + length - 1));
  TRY_ASSIGN(const Cluster first, tables_.mapping().get(cluster_of(offset)));
  TRY_ASSIGN(const Piece piece, piece_at(offset, length));
  if (piece.kind == Piece::Kind::Data && piece.own) {
    const u64 epoch = epochs_.begin();
    writer.unlock();
    const auto written = tables_.data().write(piece.host, slice(memory, 0, piece.length));
    epochs_.end(epoch);
    TRY(written);
    return piece.length;
  }
  Allocation allocation;
  allocation.first = cluster_of(offset);
  allocation.from = offset;
  TRY(plan(allocation, first, length));
  const auto busy = busy_.insert(busy_.end(), {allocation.first, allocation.first + allocation.count - 1});
  writer.unlock();
  auto written = write_allocated(allocation, memory);
  writer.lock();
  if (written) {
    written = link(allocation);
  } else {
    take_back(allocation, 0);
  }
  dirty_ = true;  // a commit may have come in between
  busy_.erase(busy);
  freed_.notify_all();
  TRY(written);
  return allocation.to - allocation.from;
}

Io<> Qcow2Disk::plan(Allocation& allocation, const Cluster& first, u64 length) {
  const u64 size = cluster_size();
  u64 count = 1;
  bool fresh = false;
  Cluster last = first;
  allocation.in_place = first.own();
  if (allocation.in_place) {
    allocation.host = first.host;
  } else {
    const u64 end = cluster_of(allocation.from + length - 1) + 1;
    const u64 most = std::min(end - allocation.first, std::max<u64>(1, kMaxRun / size));
    for (; count < most; ++count) {
      TRY_ASSIGN(const Cluster next, tables_.mapping().get(allocation.first + count));
      if (next.own()) break;
    }
    if (header().has_data_file()) {
      allocation.host = allocation.first << header().cluster_bits;  // the same place as on the disk
    } else {
      TRY_ASSIGN(const HostRun run, tables_.refcounts().allocate_up_to(count));
      count = run.count;
      allocation.host = run.offset;
      fresh = run.fresh;
    }
    if (count > 1) {
      TRY_ASSIGN(last, tables_.mapping().get(allocation.first + count - 1));
    }
  }
  allocation.count = count;
  const u64 start = allocation.first << header().cluster_bits, last_start = start + (count - 1) * size;
  allocation.to = std::min(allocation.from + length, start + count * size);
  // What has to be copied: the rest of subclusters that get data, and data that moves.
  const u64 sub = header().subcluster_size();
  const auto moving = [&](const Cluster& cluster) {
    if (allocation.in_place) return u32{0};
    return cluster.compressed ? all_subclusters(header()) : cluster.data;
  };
  const auto has_data = [&](const Cluster& cluster, u64 at, u64 cluster_start) {
    return allocation.in_place && (cluster.data >> (at - cluster_start) / sub & 1) != 0;
  };
  allocation.copy_from = allocation.from;
  if (!has_data(first, allocation.from, start)) allocation.copy_from = allocation.from / sub * sub;
  if (const u32 bits = moving(first); bits != 0) {
    allocation.copy_from = std::min(allocation.copy_from, start + static_cast<u64>(__builtin_ctz(bits)) * sub);
  }
  allocation.copy_to = allocation.to;
  if (!has_data(last, allocation.to - 1, last_start)) allocation.copy_to = (allocation.to + sub - 1) / sub * sub;
  if (const u32 bits = moving(last); bits != 0) {
    allocation.copy_to = std::max(allocation.copy_to, last_start + static_cast<u64>(32 - __builtin_clz(bits)) * sub);
  }
  // Zeroes are there already in a cluster that nobody ever wrote.
  if (fresh && reads_zero(first)) allocation.copy_from = allocation.from;
  if (fresh && reads_zero(last)) allocation.copy_to = allocation.to;
  return {};
}

Io<> Qcow2Disk::write_allocated(const Allocation& allocation, std::span<const iovec> memory) {
  std::vector<u8> before(allocation.from - allocation.copy_from), behind(allocation.copy_to - allocation.to);
  const iovec first{before.data(), before.size()}, last{behind.data(), behind.size()};
  TRY(read_bytes(allocation.copy_from, {&first, 1}, before.size()));
  TRY(read_bytes(allocation.to, {&last, 1}, behind.size()));
  std::vector<iovec> pieces;
  if (!before.empty()) pieces.push_back(first);
  for (const auto& piece : slice(memory, 0, allocation.to - allocation.from)) pieces.push_back(piece);
  if (!behind.empty()) pieces.push_back(last);
  const u64 start = allocation.first << header().cluster_bits;
  return tables_.data().write(allocation.host + (allocation.copy_from - start), pieces);
}

Io<> Qcow2Disk::link(const Allocation& allocation) {
  for (u64 i = 0; i < allocation.count; ++i) {
    const u64 index = allocation.first + i;
    const auto old = tables_.mapping().get(index);
    Io<> linked;
    if (old) {
      Cluster cluster = *old;
      cluster.host = allocation.host + (i << header().cluster_bits);
      cluster.allocated = cluster.copied = true;
      cluster.compressed = false;
      cluster.data |= subclusters_of(index, allocation.from, allocation.to);
      if (old->compressed) cluster.data = all_subclusters(header());
      cluster.zero &= ~cluster.data;
      linked = tables_.mapping().set(index, cluster);
    } else {
      linked = std::unexpected(old.error());
    }
    if (!linked) {
      take_back(allocation, i);
      return linked;
    }
    if (!allocation.in_place) TRY(tables_.refer(*old, -1, true));
  }
  return {};
}

void Qcow2Disk::take_back(const Allocation& allocation, u64 from) {
  if (allocation.in_place || header().has_data_file()) return;
  for (u64 i = from; i < allocation.count; ++i) {
    // A count that stays too high costs space alone.
    (void)tables_.refcounts().take_back(cluster_of(allocation.host) + i);
  }
}

Io<> Qcow2Disk::write_compressed(u64 offset, std::span<const u8> bytes) {
  const Request request{.operation = Operation::Write, .offset = offset, .length = bytes.size()};
  if (const Status status = check(request); status != Status::Ok) return std::unexpected(status);
  if ((offset & (cluster_size() - 1)) != 0 || bytes.size() > cluster_size()) {
    return std::unexpected(Status::OutOfRange);
  }
  std::vector<u8> whole(cluster_size());
  std::ranges::copy(bytes, whole.begin());
  const auto packed = header().has_data_file() ? std::nullopt : compress(header().compression_type, whole);
  if (!packed) return write(offset, bytes);
  auto writer = lock_writer();
  TRY(prepare_change());
  wait_until_free(writer, cluster_of(offset), cluster_of(offset));
  TRY_ASSIGN(const Cluster old, tables_.mapping().get(cluster_of(offset)));
  TRY_ASSIGN(const u64 host, tables_.refcounts().allocate_bytes(packed->size()));
  Cluster cluster;
  cluster.compressed = true;
  cluster.host = host;
  cluster.compressed_bytes = packed->size();
  auto written = tables_.file().write(host, std::span<const u8>(*packed));
  if (written) written = tables_.mapping().set(cluster_of(offset), cluster);
  if (!written) {
    (void)tables_.refcounts().take_back(cluster_of(host));
    return written;
  }
  return tables_.refer(old, -1, true);
}

}  // namespace vireo::block::qcow2
