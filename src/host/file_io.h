// Positional file input and output, whole transfers at a time, and what a file can do besides holding bytes: holes,
// zeroes, locks.
//
// Results of the transfers are 0 or an errno value: they are made while a machine runs, where nobody reads a message.
#pragma once

#include <sys/uio.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

/// What is left of a transfer between a file and scattered memory.
class Scatter {
 public:
  Scatter() = default;
  /// `memory` stays as it is until the transfer is done.
  explicit Scatter(std::span<const iovec> memory);
  bool done() const { return left_ == 0; }
  u64 left() const { return left_; }  ///< bytes
  /// The next pieces, as many as one system call takes. Valid until advance().
  std::span<const iovec> window();
  void advance(u64 bytes);
  void zero_rest();

 private:
  std::span<const iovec> memory_;
  std::size_t skip_ = 0;  ///< bytes of the first piece that are done
  u64 left_ = 0;
  std::vector<iovec> copy_;  ///< a window whose first piece is a part
};

/// Beyond the end of the file there are zeroes.
int read_all(int fd, u64 offset, std::span<const iovec> memory);
int write_all(int fd, u64 offset, std::span<const iovec> memory);
/// What was written survives the host; the file's times may not.
int sync_data(int fd);
/// Gives the space back; the range reads as zeroes. The size stays. EOPNOTSUPP where the file system cannot.
int punch_hole(int fd, u64 offset, u64 length);
/// The range reads as zeroes, and the space is kept. The size stays. EOPNOTSUPP where the file system cannot.
int zero_range(int fd, u64 offset, u64 length);
int set_size(int fd, u64 size);
/// Space for the range, whose bytes stay what they are. The size grows to hold it.
int allocate(int fd, u64 offset, u64 length);

/// What stands behind a descriptor.
struct FileFacts {
  u64 size = 0;       ///< bytes, of a block device its capacity
  u64 allocated = 0;  ///< bytes of storage, of a block device its capacity
  u64 device = 0;     ///< with `inode`: which file it is
  u64 inode = 0;
  u32 direct_alignment = 512;  ///< bytes, what direct I/O needs of offsets, lengths and memory
  bool block_device = false;
  bool regular = false;
};
Result<FileFacts> file_facts(int fd, const std::string& path);

/// Is there data at `offset`, and how far does it go on like that? Nothing at or beyond the end. Where the file system
/// does not tell, all is data.
struct Run {
  bool data = false;
  u64 length = 0;  ///< bytes
};
std::optional<Run> run_at(int fd, u64 offset);

struct OpenFile {
  bool write = false;
  bool direct = false;  ///< past the page cache
  bool create = false;  ///< a new file; an error where there is one
};
/// Errors: NotFound, Denied, Usage for a directory, Failed.
Result<Fd> open_file(const std::string& path, OpenFile how);

}  // namespace vireo::host
