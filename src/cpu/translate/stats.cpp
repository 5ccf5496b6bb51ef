// What --stats shows of a translator (names: vm/engine/stats.h).
#include <Zydis/Zydis.h>

#include <algorithm>

#include "cpu/translate/translator.h"

namespace vireo::cpu::translate {

namespace {

using Count = vm::Stats::Count;

constexpr std::size_t kHottest = 100;

void hottest_first(std::vector<Count>& rows) {
  std::sort(rows.begin(), rows.end(),
            [](const Count& a, const Count& b) { return a.count != b.count ? a.count > b.count : a.what < b.what; });
}

std::vector<Count> by_mnemonic(const std::vector<u64>& counts) {
  std::vector<Count> rows;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 0) rows.push_back({ZydisMnemonicGetString(static_cast<ZydisMnemonic>(i)), counts[i]});
  }
  hottest_first(rows);
  return rows;
}

vm::Stats::Table& table(vm::Stats& stats, const char* name) {
  for (auto& table : stats.tables) {
    if (table.name == name) return table;
  }
  return stats.tables.emplace_back(vm::Stats::Table{.name = name, .rows = {}});
}

}  // namespace

Counts::Counts()
    : helpers(ZYDIS_MNEMONIC_MAX_VALUE + 1),
      accesses(ZYDIS_MNEMONIC_MAX_VALUE + 1),
      alone(ZYDIS_MNEMONIC_MAX_VALUE + 1) {}

void Counts::sample(u64 rip) {
  if (samples_.size() < kMostSamples || samples_.contains(rip)) ++samples_[rip];
}

vm::Stats Translator::stats() {
  vm::Stats stats = RunLoop::stats();
  const auto calls = [&](Call call) { return counts_.calls[static_cast<unsigned>(call)]; };
  const auto& cache = cache_.counters();
  const auto& filled = translations_.counters();
  for (const Count& count : {Count{"translations", cache.translated},
                             {"translated_instructions", cache.instructions},
                             {"cache_flushes", cache.flushed},
                             {"invalidations", cache.invalidated},
                             {"links", cache.links},
                             {"entries", counts_.entries},
                             {"tlb_flushes", filled.flushes},
                             {"tlb_page_flushes", filled.page_flushes},
                             {"scattered_sites", counts_.scattered},
                             {"ungrouped_blocks", counts_.ungrouped}}) {
    stats.counters.push_back(count);
  }
  auto& exits = table(stats, "exits").rows;
  exits.push_back({"access", calls(Call::Access)});
  exits.push_back({"access_slow", counts_.slow_accesses});
  exits.push_back({"helper", calls(Call::Helper)});
  exits.push_back({"link", calls(Call::Link)});
  exits.push_back({"jump", calls(Call::Jump)});
  exits.push_back({"leave", calls(Call::Leave)});
  exits.push_back({"fault", calls(Call::Fault)});

  auto& misses = table(stats, "tlb_misses").rows;
  misses.push_back({"slot", filled.slots});
  misses.push_back({"page_entry", filled.pages});
  misses.push_back({"refill", filled.refills});
  for (auto& row : misses) {
    if (row.what == "page_walk") row.count += filled.walks;
  }

  std::vector<u64> fallbacks = counts_.helpers;
  for (std::size_t i = 0; i < fallbacks.size(); ++i) fallbacks[i] += counts_.accesses[i] + counts_.alone[i];
  table(stats, "fallbacks").rows = by_mnemonic(fallbacks);
  table(stats, "helpers").rows = by_mnemonic(counts_.helpers);
  table(stats, "slow_accesses").rows = by_mnemonic(counts_.accesses);

  auto& hottest = table(stats, "hottest_blocks").rows;
  for (const auto& [rip, count] : counts_.samples()) hottest.push_back({vm::Stats::address(rip), count});
  hottest_first(hottest);
  if (hottest.size() > kHottest) hottest.resize(kHottest);
  return stats;
}

}  // namespace vireo::cpu::translate
