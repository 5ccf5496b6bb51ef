// A disk of which one also knows what is behind it: what the tools of `vireo image` work on.
//
// Threads: execute() is submit() in the calling thread, and like it may be called from many at once; the same rules of
// order hold. resize() and extent_at() only while nothing else goes on.
#pragma once

#include <string_view>

#include "block/api/storage.h"

namespace vireo::block {

/// How a stretch of a disk comes to be what it is.
struct Extent {
  enum class Kind : u8 {
    Data,
    Zero,     ///< reads as zeroes, without data behind it
    Backing,  ///< what the backing image says; zeroes where there is none
  };
  Kind kind = Kind::Data;
  u64 length = 0;  ///< bytes
  bool compressed = false;
  bool operator==(const Extent&) const = default;
};

class Image : public Disk {
 public:
  virtual std::string_view format() const = 0;  ///< "raw", "qcow2"
  /// `done` is not called.
  virtual Status execute(const Request& request) = 0;
  /// The stretch of `kind` alike that begins at `offset` and is within `length`, which is more than 0; of this image
  /// alone, not of its backing images.
  virtual Io<Extent> extent_at(u64 offset, u64 length) = 0;
  /// What is beyond the end is lost; what is new reads as zeroes. A message says what cannot be.
  virtual Io<> resize(u64 size) = 0;
  virtual Image* backing() { return nullptr; }

  Io<> read(u64 offset, std::span<u8> bytes) {
    const iovec piece{bytes.data(), bytes.size()};
    return run({.operation = Operation::Read, .offset = offset, .length = bytes.size(), .memory = {&piece, 1}});
  }
  Io<> write(u64 offset, std::span<const u8> bytes) {
    const iovec piece{const_cast<u8*>(bytes.data()), bytes.size()};
    return run({.operation = Operation::Write, .offset = offset, .length = bytes.size(), .memory = {&piece, 1}});
  }
  Io<> flush() { return run({.operation = Operation::Flush}); }
  Io<> discard(u64 offset, u64 length) {
    return run({.operation = Operation::Discard, .offset = offset, .length = length});
  }
  Io<> write_zeroes(u64 offset, u64 length, bool may_unmap) {
    return run({.operation = Operation::WriteZeroes, .offset = offset, .length = length, .may_unmap = may_unmap});
  }

 private:
  Io<> run(const Request& request) {
    const Status status = execute(request);
    if (status != Status::Ok) return std::unexpected(status);
    return {};
  }
};

}  // namespace vireo::block
