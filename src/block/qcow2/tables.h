// All that a qcow2 file says about itself, kept so that whatever of the writes reached the storage makes a sound image:
//
//   1  refcount blocks and the disk's data       flush: nothing is referred to that is not counted and written
//   2  the refcount table, if it changed         flush
//   3  L2 tables                                 flush if the L1 table changed
//   4  the L1 table, if it changed               flush
//   5  what was given up counts as free
//
// commit() does that, for a guest's flush and when memory is full. What the header names is switched over when it is
// complete (HeaderFile). With lazy refcounts 1 writes the data alone: the image is marked dirty, and whoever opens it
// after a cut counts anew.
//
// Threads: as Mapping.
#pragma once

#include "block/qcow2/mapping.h"

namespace vireo::block::qcow2 {

struct CacheSizes {
  u64 l2 = 16 * kMiB;  ///< bytes
  u64 refcounts = 4 * kMiB;
};

class Tables {
 public:
  /// `data`: the external data file, or null.
  Tables(Storage& file, Storage* data, const Header& header, const CacheSizes& sizes)
      : file_{file, header}, data_(data), refcounts_(file_, sizes.refcounts), mapping_(file_, refcounts_, sizes.l2) {}
  Io<> load() {
    TRY(refcounts_.load());
    return mapping_.load();
  }

  const Header& header() const { return file_.header; }
  HeaderFile& header_file() { return file_; }
  Refcounts& refcounts() { return refcounts_; }
  Mapping& mapping() { return mapping_; }
  Storage& file() { return file_.file; }
  Storage& data() { return data_ == nullptr ? file_.file : *data_; }

  /// Something would be lost, or a cluster wait for being free, without a commit.
  bool dirty() const { return mapping_.dirty() || refcounts_.releasing() || (counted() && refcounts_.dirty()); }
  /// Refcounts are right in the file at any time, and not put off.
  bool counted() const { return !header().lazy_refcounts() || !header().dirty(); }
  bool crowded() const { return refcounts_.crowded() || mapping_.crowded(); }
  /// What was given up before `epoch` is not read or written by anybody any more.
  Io<> commit(u64 epoch = ~u64{0});
  /// Also what lazy refcounts put off; the image is clean afterwards.
  Io<> finish();

  /// Before the first change: marks an image of lazy refcounts.
  Io<> begin_changes();
  Io<> mark(u64 incompatible_feature, bool set);
  /// One more, or one less, reference to what a cluster's entry refers to. Less: with the next commit.
  Io<> refer(const Cluster& cluster, int delta, bool discard = false);
  /// New clusters for a table, written; the old ones stay.
  Io<u64> write_table(std::span<const u8> bytes);
  /// The active L1 table gets more entries, in a place of its own.
  Io<> grow_l1(u64 entries);
  void release_clusters(u64 offset, u64 bytes);

 private:
  HeaderFile file_;
  Storage* const data_;
  Refcounts refcounts_;
  Mapping mapping_;
};

}  // namespace vireo::block::qcow2
