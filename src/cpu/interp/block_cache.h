// Decoded straight-line code, found by where it lies in RAM and the mode it was decoded for.
//
// A block never leaves its 256-byte chunk of RAM, but for its last instruction, which may run into the next chunk of
// the same page. It is good while the generations of those chunks (vm/memory) are what they were when it was decoded.
// An instruction that crosses a page is never in a block: where its second half lies depends on the mapping. Bounded:
// when the arena is full all blocks go.
#pragma once

#include <array>

#include "cpu/interp/insn.h"
#include "cpu/interp/select.h"
#include "host/map.h"

namespace vireo::cpu::interp {

struct Block {
  u64 offset;         ///< in RAM
  u64 epoch;          ///< code epoch at which the generations were last seen to be current
  u32 generation[2];  ///< of the first and the last chunk
  u16 bytes;          ///< length
  u8 count;           ///< instructions, at least 1
  CodeMode mode;

  const Insn* begin() const { return reinterpret_cast<const Insn*>(this + 1); }
};

class BlockCache {
 public:
  explicit BlockCache(vm::GuestMemory& memory);

  /// The block at RAM `offset`, decoded if need be. nullptr when the first instruction crosses the page's end or cannot
  /// be decoded from it: it has to be run on its own.
  Block* find(Cpu& cpu, u64 offset, CodeMode mode) {
    Block* block = table_[slot(offset, mode)];
    if (block != nullptr && block->offset == offset && block->mode == mode && current(*block)) [[likely]]
      return block;
    return build(cpu, offset, mode);
  }

  /// Shortcut by virtual address: the block that was last remembered for `rip` under `key`, if it is still current. The
  /// key stands for everything else that decides what is found at an address (TLB epoch, mode, privilege).
  const Block* recall(u64 rip, u64 key) {
    const Jump& jump = jumps_[rip % kJumps];
    return jump.rip == rip && jump.key == key && current(*jump.block) ? jump.block : nullptr;
  }
  void remember(u64 rip, u64 key, Block* block) { jumps_[rip % kJumps] = {.rip = rip, .key = key, .block = block}; }

  void clear();

  struct Counters {
    u64 built = 0, cleared = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  static constexpr u64 kArenaSize = 4 * kMiB;
  static constexpr unsigned kTableSize = 1 << 15;
  static constexpr unsigned kMaximumCount = 64;

  static unsigned slot(u64 offset, CodeMode mode) {
    return static_cast<unsigned>((offset ^ (offset >> 15) ^ (u64{static_cast<u8>(mode)} << 13)) % kTableSize);
  }
  /// The epoch is read before the generations: a write in between is seen at the next look.
  bool current(Block& block) {
    const u64 epoch = memory_.code_epoch();
    if (block.epoch == epoch) [[likely]]
      return true;
    const auto generation = [&](u64 offset) { return memory_.generation(offset).load(std::memory_order_acquire); };
    if (generation(block.offset) != block.generation[0] ||
        generation(block.offset + block.bytes - 1) != block.generation[1]) {
      return false;
    }
    block.epoch = epoch;
    return true;
  }
  Block* build(Cpu& cpu, u64 offset, CodeMode mode);

  vm::GuestMemory& memory_;
  host::Map arena_;
  u64 used_ = 0;
  std::array<Block*, kTableSize> table_{};
  struct Jump {
    u64 rip, key;
    Block* block;
  };
  static constexpr unsigned kJumps = 4096;
  std::array<Jump, kJumps> jumps_{};
  Counters counters_;
};

}  // namespace vireo::cpu::interp
