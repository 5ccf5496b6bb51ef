// Which clusters of the file are in use, and how often.
//
// What is in memory may be written to the file at any time: a count is raised before anything refers to the cluster,
// and lowered once nothing in the file does any more (release() keeps the cluster until settle()). A cut in between
// leaves a cluster that nobody uses, never one that two use.
//
// A refcount block is put into the first cluster that is taken from the range it describes, so it counts itself.
//
// Threads: one at a time.
#pragma once

#include <deque>
#include <vector>

#include "block/qcow2/header_file.h"
#include "block/qcow2/table_cache.h"

namespace vireo::block::qcow2 {

/// Clusters side by side in the file.
struct HostRun {
  u64 offset = 0;      ///< bytes
  u64 count = 0;       ///< clusters
  bool fresh = false;  ///< never written since the file has them: they read as zeroes
};

class Refcounts {
 public:
  Refcounts(HeaderFile& header, u64 cache_bytes);
  Io<> load();

  Io<u64> get(u64 cluster);
  /// The block for it must be there if `delta` is not 0; a count that would leave its range is IoError.
  Io<> add(u64 cluster, i64 delta);

  /// `count` clusters side by side, each with a count of one.
  Io<u64> allocate(u64 count);
  /// Up to `count` of them, at least one.
  Io<HostRun> allocate_up_to(u64 count);
  /// Room for `bytes`, at most a cluster, anywhere in a cluster, for compressed data: an offset in bytes.
  Io<u64> allocate_bytes(u64 bytes);

  /// One reference to the cluster will be gone with the next write of what refers to it. `discard`: its space goes
  /// back.
  void release(u64 cluster, bool discard);
  bool releasing() const { return !released_.empty(); }
  /// References that were given up before `epoch` was begun (disk's Epochs) are gone from the file.
  Io<> settle(u64 epoch);
  void set_epoch(u64 epoch) { epoch_ = epoch; }
  /// A reference that never got into the file.
  Io<> take_back(u64 cluster) { return add(cluster, -1); }

  bool dirty() const { return blocks_.dirty() || table_dirty(); }
  bool table_dirty() const { return !dirty_entries_.empty(); }
  bool crowded() const { return blocks_.crowded(); }
  Io<> write_blocks() { return blocks_.write_back(); }
  Io<> write_table();

  u64 table_entries() const { return table_.size(); }
  u64 block_at(u64 index) const { return table_[index]; }
  /// All new, for repair: tables were written elsewhere and the header names them.
  Io<> reload();
  u64 end_cluster() const { return end_; }

 private:
  struct Released {
    u64 cluster, epoch;
    bool discard;
  };
  HeaderFile& file_;
  const Header& header() const { return file_.header; }
  u64 index_of(u64 cluster) const { return cluster / header().refcount_block_entries(); }
  bool has_block(u64 cluster) const { return index_of(cluster) < table_.size() && table_[index_of(cluster)] != 0; }
  Io<bool> is_free(u64 cluster);
  Io<> put(u64 cluster, u64 count);
  Io<> make_block(u64 index, u64 at);
  Io<u64> find(u64 count);
  Io<u64> find_at_end(u64 count);
  Io<> grow_table(u64 index);
  Io<> write_grown_table(u64 clusters);
  Io<> find_end();
  /// Counts of one for [cluster, cluster + count), whose blocks are made right behind them.
  Io<> take_at_end(u64 cluster, u64 count);
  void took(u64 cluster, u64 count);

  TableCache blocks_;
  std::vector<u64> table_;          ///< offsets, 0 where there is no block
  std::vector<u64> dirty_entries_;  ///< indices into table_
  std::deque<Released> released_;
  u64 epoch_ = 0;
  u64 hint_ = 0;      ///< no cluster below is free
  u64 end_ = 0;       ///< no cluster from here on was ever written
  u64 bytes_at_ = 0;  ///< where the next compressed data may go, 0: nowhere
};

}  // namespace vireo::block::qcow2
