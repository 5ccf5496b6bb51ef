// State files on the host's disk.
#pragma once

#include "host/file.h"
#include "snapshot/stream.h"

namespace vireo::snapshot {

/// Collects small writes.
class FileSink final : public Sink {
 public:
  explicit FileSink(host::NewFile file) : file_(std::move(file)) { buffer_.reserve(kBuffer); }
  Result<> write(std::span<const u8> bytes) override;
  /// Everything is on the disk under the file's name.
  Result<> commit();
  u64 size() const { return size_; }

 private:
  static constexpr std::size_t kBuffer = 256 * kKiB;
  Result<> flush();
  host::NewFile file_;
  std::vector<u8> buffer_;
  u64 size_ = 0;
};

/// Reads an open file from its beginning, whatever its position; several may read one file.
class FileSource final : public Source {
 public:
  FileSource(const host::Fd& file, std::string path) : file_(file), path_(std::move(path)) {}
  Result<std::size_t> read(std::span<u8> bytes) override;

 private:
  const host::Fd& file_;
  std::string path_;
  std::vector<u8> buffer_;
  std::size_t at_ = 0;
  u64 offset_ = 0;  ///< in the file, of the end of the buffer
};

}  // namespace vireo::snapshot
