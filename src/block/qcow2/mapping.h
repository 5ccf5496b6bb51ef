// From clusters of the disk to L2 entries: the active L1 table, in memory, and L2 tables through a cache.
//
// Threads: peek() from any; the others one at a time (see table_cache.h).
#pragma once

#include <set>
#include <vector>

#include "block/qcow2/cluster.h"
#include "block/qcow2/refcounts.h"

namespace vireo::block::qcow2 {

class Mapping {
 public:
  Mapping(HeaderFile& file, Refcounts& refcounts, u64 cache_bytes);
  Io<> load();

  /// Nothing when it is not in memory, or makes no sense.
  std::optional<Cluster> peek(u64 index) const;
  /// `index` may be beyond the disk (a machine's state is there), but not beyond the L1 table.
  Io<Cluster> get(u64 index);
  /// Makes the L2 table if there is none, and copies one that a snapshot shares.
  Io<> set(u64 index, const Cluster& cluster);

  bool dirty() const { return l2_.dirty() || l1_dirty(); }
  bool l1_dirty() const { return !dirty_sectors_.empty(); }
  bool crowded() const { return l2_.crowded(); }
  Io<> write_l2() { return l2_.write_back(); }
  Io<> write_l1();

  /// The L1 table as it is in the file, for snapshots, checks and resizing. l2_cache() for the tables it names.
  const std::vector<u64>& l1() const { return l1_; }
  /// Nothing is dirty; the header names another table, or the old one has changed.
  Io<> reload();
  void set_l1(u64 index, u64 entry);
  TableCache& l2_cache() { return l2_; }

 private:
  const Header& header() const { return file_.header; }
  u64 place(u64 l2_table, u64 index) const {
    return l2_table + index % header().l2_entries() * header().l2_entry_size();
  }
  Io<u64> writable_table(u64 l1_index);

  HeaderFile& file_;
  Refcounts& refcounts_;
  TableCache l2_;
  std::set<u64> dirty_sectors_;  ///< of the L1 table, 64 entries each
  mutable std::mutex mutex_;     ///< guards l1_ against peek()
  std::vector<u64> l1_;
};

}  // namespace vireo::block::qcow2
