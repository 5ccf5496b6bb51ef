// The memory map a guest is told about at boot. The types are those of BIOS INT 15h E820h (ACPI 6.5, 15), which the
// Linux zero page and PVH's hvm_memmap_table_entry use with the same numbers.
#pragma once

#include <span>
#include <vector>

#include "base/types.h"

namespace vireo::boot {

enum class MemoryType : u32 { Ram = 1, Reserved = 2, AcpiReclaimable = 3, AcpiNvs = 4 };

struct MemoryRange {
  u64 base = 0;
  u64 size = 0;  ///< bytes
  MemoryType type = MemoryType::Ram;
  u64 end() const { return base + size; }
};

/// Sorted by base, disjoint.
using MemoryMap = std::vector<MemoryRange>;

/// [base, base+size) is RAM that the map offers to the guest. Adjacent RAM ranges are not joined.
bool is_ram(std::span<const MemoryRange> map, u64 base, u64 size);

/// Highest page-aligned address A <= limit - size such that [A, A+size) is RAM and does not touch [avoid_base,
/// avoid_end); 0 when there is none. `size` and `limit` are at least 1.
u64 place_high(std::span<const MemoryRange> map, u64 size, u64 limit, u64 avoid_base, u64 avoid_end);

}  // namespace vireo::boot
