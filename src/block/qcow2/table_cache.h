// Slices of L2 tables or refcount blocks in memory, by their place in the file; bounded.
//
// Changed slices stay until write_back(), which the owner calls in the order that keeps the file consistent
// (tables.h). Only clean ones make room, so the owner writes back when it is crowded().
//
// Threads: peek() from any thread at any time. The others by one thread at a time, the one that changes tables: what is
// loaded so is never older than what was written. No lock is held across input or output.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "block/api/storage.h"

namespace vireo::block::qcow2 {

class TableCache {
 public:
  /// `slice` is a power of two; reads and writes do not cross one.
  TableCache(Storage& file, u64 slice, u64 max_bytes) : file_(file), slice_(slice), max_(max_bytes / slice) {}

  u64 slice() const { return slice_; }
  /// False when it is not in memory.
  bool peek(u64 offset, std::span<u8> to) const;
  Io<> read(u64 offset, std::span<u8> to);
  Io<> write(u64 offset, std::span<const u8> from);
  Io<> write_back();
  bool dirty() const { return dirty_ != 0; }
  bool crowded() const { return dirty_ > max_ / 2; }
  /// The file's range means something else now; changes to it are dropped.
  void forget(u64 offset, u64 length);
  void forget_all();

 private:
  struct Slice {
    std::unique_ptr<u8[]> bytes;
    bool dirty = false;
    mutable bool used = true;  ///< since the last look for room
  };
  Io<Slice*> load(u64 offset);
  void make_room();

  Storage& file_;
  const u64 slice_, max_;
  u64 dirty_ = 0;             ///< slices
  mutable std::mutex mutex_;  ///< guards the rest
  std::unordered_map<u64, Slice> slices_;
  u64 hand_ = 0;  ///< the bucket at which the last look for room ended
};

}  // namespace vireo::block::qcow2
