// The translated blocks of one vCPU: where their code is, how they are found, and when they go.
//
// Found by RIP, place in RAM and mode. Code memory, tables and slots are only ever appended to; when one of them is
// full, everything goes at once (flush). A block whose guest code changed is taken out of all ways that lead to it and
// its memory stays unused until then.
#pragma once

#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "cpu/translate/generate.h"
#include "cpu/translate/translate.h"
#include "host/codemem.h"
#include "host/perf_map.h"

namespace vireo::cpu::translate {

class CodeCache {
 public:
  struct Counters {
    u64 translated = 0, instructions = 0, flushed = 0, invalidated = 0, links = 0;
  };

  CodeCache(vm::GuestMemory& memory, vm::CodeListener& self, Context& context, const Layout& layout,
            host::CodeMemory code, const Stress& stress);
  ~CodeCache();

  const Thunks& thunks() const { return thunks_; }
  Tables& tables() { return tables_; }

  /// Index for Block::mode; makes room (by a flush) when there are too many modes.
  unsigned mode_index(Mode mode);

  Block* find(u64 rip, u64 offset, unsigned mode, bool apart) const {
    for (Block* block = buckets_[bucket(rip)]; block != nullptr; block = block->next) {
      if (block->rip == rip && block->offset == offset && block->mode == mode && block->apart == apart &&
          !block->crossing())
        return block;
    }
    return nullptr;
  }
  /// The block for an instruction that runs into the page at RAM offset `second`.
  Block* find_crossing(u64 rip, u64 offset, u64 second, unsigned mode) const {
    for (Block* block = buckets_[bucket(rip)]; block != nullptr; block = block->next) {
      if (block->rip == rip && block->offset == offset && block->mode == mode && block->crossing() &&
          block->second_offset == second)
        return block;
    }
    return nullptr;
  }
  /// Translates; nullptr when the first instruction does not lie within its page. With `second`, the RAM offset of the
  /// page that follows, just one instruction that runs into it. `apart`: as Block::apart. May flush.
  Block* translate(interp::Cpu& cpu, u64 rip, u64 offset, Mode mode, unsigned mode_index, const u64* second = nullptr,
                   bool apart = false);

  /// `edge` now leads to `to`. The caller sees to it that the way stays valid no longer than the mapping.
  void link(u32 edge, Block& to);
  void unlink(Edge& edge);
  void set_jump(Block& to) { context_.jumps[to.mode][to.rip % kJumpEntries] = reinterpret_cast<u64>(to.code); }
  void clear_jump(unsigned mode, u32 index) { context_.jumps[mode][index] = reinterpret_cast<u64>(thunks_.jump_miss); }

  /// Drops the blocks of `page` whose code changed.
  void check_page(u64 page);
  void drop_page(u64 page);
  void invalidate(Block& block);
  void flush();
  bool nearly_full() const;
  bool wants_flush = false;

  /// The block whose code holds `at`, or nullptr.
  Block* block_at(const u8* at);
  bool contains(const u8* at) const { return at >= code_.executable() && at < code_.executable() + code_.size(); }

  /// Access sites of instructions that keep missing, by RIP: checked by Context::pages from the next translation on.
  std::unordered_set<u64> scattered;
  /// Instructions whose writes cross pages, by RIP: these are taken apart from the next translation on.
  std::unordered_set<u64> crossing;
  /// First accesses of groups, by RIP, whose check kept failing where it stood before: perhaps behind a test.
  std::unordered_set<u64> in_place;
  /// Blocks, by RIP, whose groups kept failing.
  std::unordered_set<u64> ungrouped;

  const Counters& counters() const { return counters_; }

  /// Blocks from now on get names there ("guest_ffffffff81000000_k", "_u" for user mode).
  void name_blocks_in(host::PerfMap* perf_map);

 private:
  static constexpr unsigned kBuckets = 1 << 15;
  static unsigned bucket(u64 rip) { return static_cast<unsigned>((rip ^ rip >> 15) % kBuckets); }
  bool decode(interp::Cpu& cpu, Block& block, Mode mode);
  bool decode_crossing(interp::Cpu& cpu, Block& block, Mode mode, u64 second);
  void use_page(u64 page);
  void leave_page(u64 page);
  bool still_true(Block& block) const;

  vm::GuestMemory& memory_;
  vm::CodeListener& self_;
  Context& context_;
  const Layout& layout_;
  const Stress stress_;
  u32 since_flush_ = 0;  ///< translations
  host::CodeMemory code_;
  Thunks thunks_;
  u64 first_ = 0, used_ = 0;
  Tables tables_;
  std::deque<Block> blocks_;
  std::vector<Block*> buckets_;
  std::unordered_map<u64, std::vector<Block*>> pages_;
  std::vector<Mode> modes_;
  Plan plan_;
  Counters counters_;
  host::PerfMap* perf_map_ = nullptr;
};

}  // namespace vireo::cpu::translate
