// The little of ELF that a kernel image needs: where its segments go and where PVH enters it.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace vireo::boot::pvh {

struct ElfSegment {
  u64 address = 0;            ///< physical (p_paddr)
  u64 memory_size = 0;        ///< the bytes after `bytes` are zero
  std::span<const u8> bytes;  ///< from the file
};

struct ElfKernel {
  std::vector<ElfSegment> segments;  ///< PT_LOAD with memory_size > 0, at least one
  std::optional<u32> phys32_entry;   ///< XEN_ELFNOTE_PHYS32_ENTRY
};

bool is_elf(std::span<const u8> file);

/// Errors (Usage): not an x86 executable, truncated, nothing to load. `name` is for the message.
Result<ElfKernel> parse_elf(std::span<const u8> file, std::string_view name);

}  // namespace vireo::boot::pvh
