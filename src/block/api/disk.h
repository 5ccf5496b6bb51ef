// A disk as a device sees it: blocks that are read and written asynchronously. What stands behind it (a raw file, a
// qcow2 chain, an NBD server) is the back end's business.
//
// Order: requests in flight at the same time complete in any order, and overlapping ones have any outcome that some
// order has. A Flush makes durable every Write, WriteZeroes and Discard that was complete when it was submitted; once
// it completes with success, nothing of those is lost, whatever is killed.
//
// Threads: submit() from any thread, many at once. `done` is called exactly once for each request, on any thread, the
// submitter's inside submit() included, with no lock of the back end held. The request and its memory are the
// submitter's and stay as they are until then.
#pragma once

#include <sys/uio.h>

#include <span>

#include "base/types.h"

namespace vireo::block {

enum class Operation : u8 { Read, Write, Flush, Discard, WriteZeroes };

enum class Status : u8 {
  Ok,
  IoError,      ///< the host's storage failed; of a write any part may have happened
  NoSpace,      ///< the host's storage is full; of a write any part may have happened
  ReadOnly,     ///< a write to a disk that is read-only; nothing happened
  OutOfRange,   ///< offset and length do not fit the disk, or are not whole blocks; nothing happened
  Unsupported,  ///< Discard or WriteZeroes the back end does not do; nothing happened
};

struct Request {
  Operation operation = Operation::Read;
  u64 offset = 0;  ///< bytes, a multiple of block_size
  u64 length = 0;  ///< bytes, a multiple of block_size, at least one block; 0 for Flush
  /// Read: where to; Write: where from. Together `length` bytes; any alignment and count. Others: empty.
  std::span<const iovec> memory = {};
  bool may_unmap = false;  ///< WriteZeroes: the space may be given back
  void (*done)(Request& request, Status status) = nullptr;
};

/// What never changes while the disk is open, but for `size`.
struct Geometry {
  u64 size = 0;                   ///< bytes, a multiple of block_size
  u32 block_size = 512;           ///< bytes: the unit of requests, a power of two, 512..4096
  u32 physical_block_size = 512;  ///< bytes, what is written without read-modify-write; a multiple of block_size
  u32 optimal_io_size = 0;        ///< bytes, 0: nothing is known
  u32 discard_alignment = 0;      ///< bytes, 0: the disk does not discard
  bool read_only = false;
  bool write_zeroes = false;  ///< WriteZeroes is worth more than writing zeroes
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Geometry geometry() const = 0;
  virtual void submit(Request& request) = 0;
  /// Returns when every request submitted before has had its `done` called. The caller submits nothing meanwhile.
  virtual void drain() = 0;
};

}  // namespace vireo::block
