// How often the clusters of a file are referred to: what a check counts. Memory grows with what is in use, not with
// what an entry claims.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>

#include "block/qcow2/tables.h"

namespace vireo::block::qcow2 {

class ReferenceCounter {
 public:
  u64 get(u64 cluster) const {
    const auto chunk = chunks_.find(cluster / kChunk);
    return chunk == chunks_.end() ? 0 : (*chunk->second)[cluster % kChunk];
  }
  void add(u64 cluster, u64 count = 1) {
    auto& chunk = chunks_[cluster / kChunk];
    if (!chunk) chunk = std::make_unique<Chunk>();
    (*chunk)[cluster % kChunk] += static_cast<u32>(count);
  }
  void add_range(u64 offset, u64 bytes, u32 cluster_bits) {
    if (bytes == 0) return;
    for (u64 at = offset >> cluster_bits; at <= (offset + bytes - 1) >> cluster_bits; ++at) add(at);
  }
  /// Every cluster that is referred to, from the first on.
  template <class F>
  void each(F&& f) const {
    for (const auto& [number, chunk] : chunks_) {
      for (u64 i = 0; i < kChunk; ++i) {
        if ((*chunk)[i] != 0) f(number * kChunk + i, u64{(*chunk)[i]});
      }
    }
  }
  /// Behind all of them.
  u64 end() const {
    u64 last = 0;
    if (!chunks_.empty()) {
      const auto& [number, chunk] = *chunks_.rbegin();
      for (u64 i = 0; i < kChunk; ++i) {
        if ((*chunk)[i] != 0) last = number * kChunk + i + 1;
      }
    }
    return last;
  }

 private:
  static constexpr u64 kChunk = 256;
  using Chunk = std::array<u32, kChunk>;
  std::map<u64, std::unique_ptr<Chunk>> chunks_;
};

}  // namespace vireo::block::qcow2
