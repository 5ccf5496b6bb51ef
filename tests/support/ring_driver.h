// The driver's end of a virtqueue, split or packed, for tests of the device's end. Written from the standard alone
// (virtio 1.2, 2.7 and 2.8), sharing no code with what it tests.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "virtio/ring/ring.h"
#include "vm/memory/memory.h"

namespace vireo::test {

struct Piece {
  u64 gpa = 0;
  u32 length = 0;
  bool writable = false;
};

class RingDriver {
 public:
  static constexpr u64 kArea = 0x10000;  ///< bytes a ring takes, for sizes up to 1024

  /// The ring lies at `gpa`, which is page aligned; what was there is cleared.
  RingDriver(vm::GuestMemory& memory, u64 gpa, u16 size, u64 features);

  virtio::RingPlace place() const;
  /// Makes a buffer available; there must be space for it. With `table` != 0 its descriptors go into an indirect table
  /// there. Its id.
  u16 add(std::span<const Piece> pieces, u64 table = 0);
  u16 add(std::initializer_list<Piece> pieces, u64 table = 0) {
    return add(std::span(pieces.begin(), pieces.size()), table);
  }
  /// The device wants to hear of what was added since this was asked last.
  bool must_notify();

  struct Used {
    u16 id = 0;
    u32 written = 0;
    bool operator==(const Used&) const = default;
  };
  std::optional<Used> take_used();
  /// The next used buffer interrupts, or with EVENT_IDX the one after `later` others.
  void want_interrupts(bool on, u16 later = 0);
  unsigned free() const { return free_; }

 private:
  bool packed() const { return (features_ & u64{1} << 34) != 0; }
  bool event_index() const { return (features_ & u64{1} << 29) != 0; }
  template <class T>
  T get(u64 gpa) const;
  template <class T>
  void put(u64 gpa, T value);
  u64 used_area() const { return gpa_ + 0x8000; }
  u64 available_area() const { return gpa_ + 0x4000; }
  u16 add_split(std::span<const Piece> pieces, u64 table);
  u16 add_packed(std::span<const Piece> pieces, u64 table);
  u16 packed_flags(bool wrap) const { return wrap ? 0x80 : 0x8000; }

  vm::GuestMemory& memory_;
  const u64 gpa_;
  const u16 size_;
  const u64 features_;
  unsigned free_;
  std::vector<u16> free_list_;           ///< split: descriptors; packed: ids
  std::map<u16, std::vector<u16>> out_;  ///< by id: descriptors
  u16 available_ = 0, used_ = 0, told_ = 0;
  bool available_wrap_ = true, used_wrap_ = true;
  u16 added_ = 0;  ///< packed: descriptors since must_notify()
};

}  // namespace vireo::test
