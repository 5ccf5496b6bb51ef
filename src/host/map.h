// Anonymous memory from the host: zero filled, taken from the system page by page as it is touched.
#pragma once

#include <cstddef>
#include <utility>

#include "base/result.h"
#include "base/types.h"

namespace vireo::host {

class Map {
 public:
  Map() = default;
  Map(Map&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Map& operator=(Map&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Map();

  /// `size` in bytes, a multiple of the page size; never reserved against swap.
  static Result<Map> anonymous(u64 size);

  u8* data() const { return data_; }
  u64 size() const { return size_; }

  /// Gives the pages of [offset, offset+length) back to the host; they read as zero afterwards. Page aligned.
  void discard(u64 offset, u64 length);
  /// No access to the range is possible any more. Page aligned.
  Result<> forbid(u64 offset, u64 length);
  /// Lets the host back the range with huge pages or not (madvise).
  void set_huge_pages(bool on);

 private:
  Map(u8* data, u64 size) : data_(data), size_(size) {}
  u8* data_ = nullptr;
  u64 size_ = 0;
};

}  // namespace vireo::host
