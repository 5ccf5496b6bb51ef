// What an engine counted on one vCPU since it was made: named numbers, and named tables of them. For people and
// graphs; nothing in the machine depends on it. Names are snake_case. Those that mean the same in every engine:
//
//   interrupts, nmis, exceptions   events delivered to the guest
//   tlb_misses                     table by level ("page_walk": the guest's tables were walked; the translator's "slot"
//                                  and "page_entry": what its checks look at was filled; "refill": a slot from a page
//                                  entry, without a call of C++)
//   translations, cache_flushes    blocks of guest code decoded or translated; times all were thrown away
//   exits                          table by cause: mmio, apic, port, halt, kick, ...
//   fallbacks                      table by instruction: what the engine left to another one; of the translator's,
//                                  "helpers" are always left, "slow_accesses" for what they met in memory
//   hottest_blocks                 table by guest address, the hottest first; samples, not counts (translate/counts.h)
#pragma once

#include <fmt/core.h>

#include <string>
#include <vector>

#include "base/types.h"

namespace vireo::vm {

struct Stats {
  struct Count {
    std::string what;  ///< a name, or address()
    u64 count = 0;
  };
  struct Table {
    std::string name;
    std::vector<Count> rows;  ///< in the order they are to be shown
  };
  std::vector<Count> counters;
  std::vector<Table> tables;

  static std::string address(u64 value) { return fmt::format("{:#018x}", value); }
};

}  // namespace vireo::vm
