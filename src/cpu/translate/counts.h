// What a translator counts besides what its parts do (Translations::Counters, CodeCache::Counters). Translator::stats()
// puts it all together.
#pragma once

#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "cpu/translate/layout.h"

namespace vireo::cpu::translate {

struct Counts {
  Counts();

  u64 calls[static_cast<unsigned>(Call::kCount)] = {};  ///< of C++ by translated code
  u64 slow_accesses = 0;                                ///< of calls[Access]: those that filling a slot did not settle
  u64 scattered = 0, ungrouped = 0;                     ///< blocks translated again for what their checks did
  u64 entries = 0;                                      ///< into translated code, from the run loop
  std::vector<u64> helpers, accesses, alone;            ///< by ZydisMnemonic: helpers; slow accesses; outside any block

  void note(Call call) { ++calls[static_cast<unsigned>(call)]; }

  /// A look at where time goes: blocks are not counted as they run, but whatever wants the vCPU's attention (timer
  /// interrupts above all) makes the block that runs then leave, and that is counted, by the address of the guest's
  /// instruction. Few samples say little, and code with interrupts held back is seen when they come.
  void sample(u64 rip);
  const std::unordered_map<u64, u64>& samples() const { return samples_; }

 private:
  static constexpr std::size_t kMostSamples = 1 << 16;  ///< addresses; later ones are not taken
  std::unordered_map<u64, u64> samples_;
};

}  // namespace vireo::cpu::translate
