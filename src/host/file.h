// Files written so that a reader never sees half of one, and read in order.
#pragma once

#include <fcntl.h>

#include <span>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

/// Where a file will be put: its folder, held open, so that writing it later needs no way through the file system.
class Place {
 public:
  Place() = default;
  static Result<Place> find(const std::string& path);

  const std::string& path() const { return path_; }  ///< as it was named, for messages
  const std::string& name() const { return name_; }  ///< in the folder
  const Fd& folder() const { return folder_; }
  explicit operator bool() const { return static_cast<bool>(folder_); }

 private:
  std::string path_, name_;
  Fd folder_;
};

/// How NewFile opens: what a sandbox has to allow.
constexpr int kNewFileFlags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;

/// A new version of a file: written beside it, and put in its place as the last step. Readable by its owner alone.
class NewFile {
 public:
  NewFile() = default;
  NewFile(NewFile&&) noexcept = default;
  NewFile& operator=(NewFile&&) noexcept = default;
  /// Without a commit nothing remains.
  ~NewFile();

  /// `place` outlives it.
  static Result<NewFile> create(const Place& place);
  Result<> write(std::span<const u8> bytes);
  /// What the file survives once it has its own name: the end of this process, or that of the whole host.
  enum class Durability : u8 { Process, Host };
  /// Puts it in its place. With Host the bytes are on the disk when this returns, which may take long.
  Result<> commit(Durability durability = Durability::Host);

 private:
  std::string temporary_path() const { return place_->path() + kTemporary; }
  std::string temporary_name() const { return place_->name() + kTemporary; }
  static constexpr const char* kTemporary = ".tmp";

  Fd file_;
  const Place* place_ = nullptr;
};

/// Renames, durably: after a power cut there is the old file or the whole new one. `temporary` is on the disk already.
Result<> put_in_place(const std::string& temporary, const std::string& path);
bool is_terminal(int fd);
/// Opens for reading; a directory is an error of kind Usage.
Result<Fd> open_to_read(const std::string& path);
/// Puts `file`, if it can stand anywhere else than at its end, back to its beginning.
void rewind(const Fd& file);
/// A file in memory without a name, empty; append to it and empty it again.
Result<Fd> nameless_file(const char* name);
Result<> append(const Fd& file, std::span<const u8> bytes);
void empty(const Fd& file);
/// Fills `bytes` from where the file stands; fewer only at its end.
Result<std::size_t> read_up_to(const Fd& file, std::span<u8> bytes, const std::string& path);
/// Fills `bytes` from `offset` on; fewer only at the end of the file.
Result<std::size_t> read_at(const Fd& file, std::span<u8> bytes, u64 offset, const std::string& path);

}  // namespace vireo::host
