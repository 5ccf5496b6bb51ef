#include "boot/common/e820.h"

#include <algorithm>

#include "base/bits.h"

namespace vireo::boot {

bool is_ram(std::span<const MemoryRange> map, u64 base, u64 size) {
  return std::ranges::any_of(map, [&](const MemoryRange& range) {
    return range.type == MemoryType::Ram && base >= range.base && base - range.base < range.size &&
           size <= range.size - (base - range.base);
  });
}

u64 place_high(std::span<const MemoryRange> map, u64 size, u64 limit, u64 avoid_base, u64 avoid_end) {
  u64 best = 0;
  const auto consider = [&](u64 low, u64 high) {  // the highest fit in [low, high)
    high = std::min(high, limit);
    if (high < low || high - low < size) return;
    const u64 at = align_down(high - size, kPageSize);
    if (at >= low) best = std::max(best, at);
  };
  for (const auto& range : map) {
    if (range.type != MemoryType::Ram) continue;
    consider(std::max(range.base, avoid_end), range.end());
    consider(range.base, std::min(range.end(), avoid_base));
  }
  return best;
}

}  // namespace vireo::boot
