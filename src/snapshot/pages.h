// RAM in a state file: blocks of 64 pages; of each only the pages that are not all zero, compressed together.
//
//   Memory payload = offset of the block u64, bit map of its pages u64, zstd frame of those pages one after the other
#pragma once

#include <memory>
#include <vector>

#include "host/fd.h"
#include "snapshot/stream.h"
#include "vm/memory/memory.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace vireo::snapshot {

constexpr unsigned kPagesPerBlock = 64;
constexpr u64 kBlockSize = kPagesPerBlock * kPageSize;

class PageWriter {
 public:
  PageWriter();
  ~PageWriter();
  /// All of RAM; `pagemap_file` from host::Pagemap::open. Needs less than 2 MiB besides, and touches no page that the
  /// guest did not.
  Result<> put_all(const vm::GuestMemory& memory, const host::Fd& pagemap_file, Writer& writer);

 private:
  ZSTD_CCtx_s* context_;
  std::vector<u8> raw_, payload_;
};

class PageReader {
 public:
  PageReader();
  ~PageReader();
  /// Checks that a Memory payload comes after those before it and lies in a RAM of `size` bytes.
  Result<> check(std::span<const u8> payload, u64 size);
  /// Checks it again, and puts its pages into `memory`, which was zero there.
  Result<> load(std::span<const u8> payload, vm::GuestMemory& memory);

 private:
  ZSTD_DCtx_s* context_;
  u64 next_ = 0;  ///< no block below this offset may come any more
  std::vector<u8> raw_;
};

}  // namespace vireo::snapshot
