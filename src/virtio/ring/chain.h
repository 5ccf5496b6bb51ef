// A buffer of the driver: pieces of guest memory, first those the device reads, then those it writes.
//
// The pieces were checked when the chain was taken from its ring and are host addresses inside guest RAM. Their
// contents may change at any moment: what is decided on is copied first, and never looked at again in place.
#pragma once

#include <sys/uio.h>

#include <span>
#include <vector>

#include "vm/memory/memory.h"

namespace vireo::virtio {

class Pieces {
 public:
  u64 size() const { return size_; }
  /// What is left, in order; no piece is empty.
  std::span<const iovec> iovecs() const { return std::span(list_).subspan(first_); }

  void clear();
  void append(u8* at, u64 length);

  /// Copies the first bytes out, and they are gone from the list. False, and nothing happened: there are fewer.
  bool take(void* to, u64 length);
  /// Copies into the first bytes, and they are gone from the list; the same. Tells `memory` of it.
  bool put(vm::GuestMemory& memory, const void* from, u64 length);
  /// The first bytes are gone; no more than there are.
  void drop(u64 length);
  /// The last byte is gone from the list: where it is, or nullptr.
  u8* take_last();

 private:
  template <class Visit>
  void visit_front(u64 length, Visit visit);

  std::vector<iovec> list_;
  std::size_t first_ = 0;
  u64 size_ = 0;
};

/// The first `length` bytes of the pieces were written through their host addresses: code caches must hear of it.
void note_written(vm::GuestMemory& memory, std::span<const iovec> pieces, u64 length);

struct Chain {
  u16 id = 0;           ///< the driver's name for it
  u16 descriptors = 0;  ///< places it takes in the ring
  Pieces readable, writable;
  void clear();
};

}  // namespace vireo::virtio
