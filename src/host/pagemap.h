// Which pages of this process's memory have content: untouched anonymous memory is skipped without touching it.
#pragma once

#include <span>

#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

/// /proc/self/pagemap (Linux Documentation/admin-guide/mm/pagemap.rst). Where the file is missing every page counts as
/// having content.
class Pagemap {
 public:
  /// The file, opened before the process may open no more; empty where it is missing.
  static Fd open();
  /// `file` outlives it.
  explicit Pagemap(const Fd& file) : file_(file) {}
  /// Bit i of the result: the page `from` + i has content, in memory or swapped out. `pages` is 1..64, `from` page
  /// aligned.
  u64 content(const u8* from, unsigned pages);

 private:
  static constexpr u64 kWindow = 2048;  ///< entries read at a time
  bool fill(u64 page);

  const Fd& file_;
  u64 first_ = 0, count_ = 0;
  u64 entries_[kWindow] = {};
};

}  // namespace vireo::host
