// Where an image's bytes are: a host file, a block device, a network export, a test's record of everything that was
// asked of it. Bytes from 0 to size(), without blocks: offsets and lengths are any, reads beyond the end give zeroes,
// writes beyond the end make it larger where it can grow.
//
// Order and durability are those of disk.h: what was complete before a flush was asked for is there once it succeeds.
//
// Threads: everything from any thread, many at once; resize() alone. submit() is Disk's: `done` on any thread, with no
// lock held. The others block the calling thread and nobody else.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "base/result.h"
#include "block/api/disk.h"

namespace vireo::block {

/// What I/O gives that may fail: Status is never Ok in it.
template <class T = void>
using Io = std::expected<T, Status>;

/// A stretch of storage that is alike.
struct Stretch {
  bool data = false;  ///< otherwise it reads as zeroes and takes no space
  u64 length = 0;     ///< bytes
};

class Storage {
 public:
  virtual ~Storage() = default;

  virtual const std::string& name() const = 0;      ///< for messages
  virtual u64 size() const = 0;                     ///< bytes
  virtual u64 allocated() const { return size(); }  ///< bytes of the host's storage
  virtual bool read_only() const = 0;
  virtual bool grows() const { return true; }  ///< a write beyond the end makes it larger
  /// What offsets and lengths are multiples of, or else cost or fail; 1 for storage that does not mind.
  virtual u32 alignment() const { return 1; }

  virtual void submit(Request& request) = 0;
  /// Returns when every submitted request has had its `done` called.
  virtual void drain() = 0;

  virtual Io<> read(u64 offset, std::span<const iovec> memory) = 0;
  virtual Io<> write(u64 offset, std::span<const iovec> memory) = 0;
  virtual Io<> flush() = 0;
  /// The range reads as anything afterwards.
  virtual Io<> discard(u64 offset, u64 length) = 0;
  virtual Io<> write_zeroes(u64 offset, u64 length, bool may_unmap) = 0;
  virtual Io<> resize(u64 size) = 0;
  /// From `offset` on; nothing at the end.
  virtual std::optional<Stretch> stretch_at(u64 offset) const = 0;

  Io<> read(u64 offset, std::span<u8> bytes) {
    const iovec piece{bytes.data(), bytes.size()};
    return read(offset, std::span(&piece, 1));
  }
  Io<> write(u64 offset, std::span<const u8> bytes) {
    const iovec piece{const_cast<u8*>(bytes.data()), bytes.size()};
    return write(offset, std::span(&piece, 1));
  }
};

}  // namespace vireo::block
