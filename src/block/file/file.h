// Storage in a host file or block device.
//
// Reads, writes and flushes go through host/async_io.h; discards and zeroes, which the host's file system does under
// its own locks, on a worker thread. With Cache::None the file is opened for direct I/O; memory that is not aligned as
// that needs goes through a copy on a worker. Offsets and lengths must then be multiples of alignment().
#pragma once

#include <memory>

#include "block/api/storage.h"
#include "host/async_io.h"
#include "host/file_lock.h"
#include "host/workers.h"

namespace vireo::block {

enum class Cache : u8 {
  Writeback,  ///< the host's page cache; a flush reaches the storage
  None,       ///< past the page cache
  Unsafe,     ///< the page cache, and flushes do nothing: the image may be lost with the host
};

/// What the files of one disk share.
struct IoThreads {
  explicit IoThreads(host::AsyncIo::Engine engine = host::AsyncIo::Engine::Auto)
      : async(host::AsyncIo::create(engine)) {}
  std::unique_ptr<host::AsyncIo> async;
  host::Workers workers{"disk-work", 8};
};

struct FileOptions {
  bool write = false;
  Cache cache = Cache::Writeback;
  bool lock = true;  ///< false: read what somebody else may be writing
  bool create = false;
};

/// Errors: NotFound, Denied, Usage, WrongState when the file is locked.
Result<std::unique_ptr<Storage>> open_file(const std::string& path, const FileOptions& options,
                                           std::shared_ptr<IoThreads> threads);
/// The same of a file that is open, as `options` need it; `name` is for messages.
Result<std::unique_ptr<Storage>> use_file(host::Fd fd, const std::string& name, const FileOptions& options,
                                          std::shared_ptr<IoThreads> threads);

}  // namespace vireo::block
