// What the verifier knows at a place in a block.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "cpu/translate/symbols.h"

namespace vireo::cpu::translate::verify {

/// Bytes [start, start + size) from this guest address are in the region of the slot.
struct Fact {
  u32 slot = 0;
  Value start;
  u64 size = 0;
  bool write = false, alone = false;
  bool operator==(const Fact&) const = default;
};

/// The page entry for this address is one for it.
struct PageFact {
  Value address;
  u32 number = 0;  ///< of its PageTag
  u64 size = 0;
  bool operator==(const PageFact&) const = default;
};

/// What the flags say until the next instruction.
struct Compared {
  enum class With : u8 { Nothing, Limit, PageEnd, SegmentBase, Zero } with = With::Nothing;
  u32 slot = 0;
  Value value;
  u64 size = 0;  ///< PageEnd
  bool operator==(const Compared&) const = default;
};

struct State {
  std::array<Value, 16> reg;
  std::map<i32, Value> cells;  ///< fields of eight bytes in the context, by distance
  std::vector<Fact> facts;
  std::vector<PageFact> page_facts;
  Compared flags;
  bool parts = false;  ///< Context::parts are of the write that is known, and that comes next
};

/// What both have in common.
inline State meet(const State& a, const State& b, Symbols& symbols) {
  State both = a;
  for (unsigned i = 0; i < 16; ++i) {
    if (!(a.reg[i] == b.reg[i])) both.reg[i] = symbols.fresh();
  }
  std::erase_if(both.cells, [&](const auto& cell) {
    const auto other = b.cells.find(cell.first);
    return other == b.cells.end() || !(other->second == cell.second);
  });
  std::erase_if(both.facts, [&](const Fact& fact) { return std::ranges::find(b.facts, fact) == b.facts.end(); });
  std::erase_if(both.page_facts,
                [&](const PageFact& fact) { return std::ranges::find(b.page_facts, fact) == b.page_facts.end(); });
  if (!(a.flags == b.flags)) both.flags = {};
  both.parts = a.parts && b.parts;
  return both;
}

}  // namespace vireo::cpu::translate::verify
