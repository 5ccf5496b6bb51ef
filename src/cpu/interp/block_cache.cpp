#include "cpu/interp/block_cache.h"

#include <algorithm>
#include <cstdlib>

#include "base/bits.h"
#include "base/log.h"
#include "cpu/interp/decode.h"

namespace vireo::cpu::interp {

BlockCache::BlockCache(vm::GuestMemory& memory) : memory_(memory) {
  auto arena = host::Map::anonymous(kArenaSize);
  if (!arena) {  // at start-up only, before any guest state exists
    log::error("{}", arena.error().message);
    std::abort();
  }
  arena_ = std::move(*arena);
}

void BlockCache::clear() {
  table_.fill(nullptr);
  jumps_.fill({});
  used_ = 0;
  ++counters_.cleared;
}

Block* BlockCache::build(Cpu& cpu, u64 offset, CodeMode mode) {
  if (used_ + sizeof(Block) + kMaximumCount * sizeof(Insn) > kArenaSize) clear();
  auto* block = reinterpret_cast<Block*>(arena_.data() + used_);
  auto* insns = reinterpret_cast<Insn*>(block + 1);

  constexpr u64 kChunk = u64{1} << vm::GuestMemory::kChunkShift;
  const u64 page_end = align_down(offset, kPageSize) + kPageSize;
  const u64 chunk_end = align_down(offset, kChunk) + kChunk;
  const u64 epoch = memory_.code_epoch();
  // Both generations are taken before the first byte is read: a write from here on makes the block stale.
  memory_.enter_code(offset);
  const u32 first_generation = memory_.generation(offset).load(std::memory_order_acquire);
  const bool may_cross = chunk_end < page_end;
  if (may_cross) memory_.enter_code(chunk_end);
  const u32 next_generation = may_cross ? memory_.generation(chunk_end).load(std::memory_order_acquire) : 0;

  u64 at = offset;
  unsigned count = 0;
  while (at < chunk_end && count < kMaximumCount) {
    u8 bytes[15];  // a private copy: the guest may change them while they are decoded
    const u64 available = std::min<u64>(sizeof bytes, page_end - at);
    std::copy_n(memory_.base() + at, available, bytes);
    Insn& insn = insns[count];
    if (decode(cpu, mode, {bytes, available}, insn) != DecodeStatus::Ok) break;
    at += insn.length;
    ++count;
    if (ends_block(insn)) break;
  }
  if (count == 0) return nullptr;
  *block = {.offset = offset,
            .epoch = epoch,
            .generation = {first_generation, at > chunk_end ? next_generation : first_generation},
            .bytes = static_cast<u16>(at - offset),
            .count = static_cast<u8>(count),
            .mode = mode};
  used_ += sizeof(Block) + count * sizeof(Insn);
  table_[slot(offset, mode)] = block;
  ++counters_.built;
  return block;
}

}  // namespace vireo::cpu::interp
