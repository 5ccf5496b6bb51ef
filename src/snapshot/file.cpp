#include "snapshot/file.h"

#include <algorithm>
#include <cstring>

namespace vireo::snapshot {

Result<> FileSink::flush() {
  TRY(file_.write(buffer_));
  buffer_.clear();
  return {};
}

Result<> FileSink::write(std::span<const u8> bytes) {
  size_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBuffer) TRY(flush());
  if (bytes.size() > kBuffer) return file_.write(bytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return {};
}

Result<> FileSink::commit() {
  TRY(flush());
  return file_.commit();
}

Result<std::size_t> FileSource::read(std::span<u8> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    if (at_ == buffer_.size()) {
      buffer_.resize(128 * kKiB);
      TRY_ASSIGN(const auto got, host::read_at(file_, buffer_, offset_, path_));
      buffer_.resize(got);
      offset_ += got;
      at_ = 0;
      if (got == 0) break;
    }
    const auto count = std::min(bytes.size() - done, buffer_.size() - at_);
    std::memcpy(bytes.data() + done, buffer_.data() + at_, count);
    at_ += count;
    done += count;
  }
  return done;
}

}  // namespace vireo::snapshot
