// Memory from the host: zero filled, taken from the system page by page as it is touched. Anonymous memory is this
// process's alone; shared memory has a file without a name, which another process may map as well.
#pragma once

#include <cstddef>
#include <utility>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

class Map {
 public:
  Map() = default;
  Map(Map&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        file_(std::move(other.file_)) {}
  Map& operator=(Map&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(file_, other.file_);
    return *this;
  }
  ~Map();

  /// `size` in bytes, a multiple of the page size; never reserved against swap.
  static Result<Map> anonymous(u64 size);
  /// The same, shared; `name` is for people who look at /proc.
  static Result<Map> shared(u64 size, const char* name);

  u8* data() const { return data_; }
  u64 size() const { return size_; }
  /// Of shared memory: its file, in which it begins at 0; else empty.
  const Fd& file() const { return file_; }

  /// Gives the pages of [offset, offset+length) back to the host; they read as zero afterwards. Page aligned.
  void discard(u64 offset, u64 length);
  /// No access to the range is possible any more. Page aligned.
  Result<> forbid(u64 offset, u64 length);
  /// Lets the host back the range with huge pages or not (madvise).
  void set_huge_pages(bool on);

 private:
  Map(u8* data, u64 size, Fd file) : data_(data), size_(size), file_(std::move(file)) {}
  u8* data_ = nullptr;
  u64 size_ = 0;
  Fd file_;
};

}  // namespace vireo::host
