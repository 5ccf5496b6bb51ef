// Files written so that a reader never sees half of one, and read in order.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

/// A new version of a file: written beside it, and put in its place as the last step. Readable by its owner alone.
class NewFile {
 public:
  NewFile() = default;
  NewFile(NewFile&&) noexcept = default;
  NewFile& operator=(NewFile&&) noexcept = default;
  /// Without a commit nothing remains.
  ~NewFile();

  static Result<NewFile> create(const std::string& path);
  Result<> write(std::span<const u8> bytes);
  /// The bytes are on the disk when this returns, under the file's own name. May take long.
  Result<> commit();

 private:
  Fd file_;
  std::string path_, temporary_;
};

/// Opens for reading; a directory is an error of kind Usage.
Result<Fd> open_to_read(const std::string& path);
/// A file in memory without a name, empty; append to it and empty it again.
Result<Fd> nameless_file(const char* name);
Result<> append(const Fd& file, std::span<const u8> bytes);
void empty(const Fd& file);
/// Fills `bytes` from where the file stands; fewer only at its end.
Result<std::size_t> read_up_to(const Fd& file, std::span<u8> bytes, const std::string& path);
/// Fills `bytes` from `offset` on; fewer only at the end of the file.
Result<std::size_t> read_at(const Fd& file, std::span<u8> bytes, u64 offset, const std::string& path);

}  // namespace vireo::host
