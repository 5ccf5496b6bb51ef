// SMBIOS tables: what the machine says of itself (DMTF DSP0134 3.3): who made it, that it is virtual, how much memory
// there is and where.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "boot/common/e820.h"
#include "vm/memory/memory.h"

namespace vireo::boot::smbios {

struct System {
  std::string manufacturer = "Vireo", product = "Vireo PC", version;
  u64 memory = 0;                            ///< bytes, as given by the user
  std::span<const MemoryRange> ranges = {};  ///< RAM above 1 MiB, where it is mapped
};

struct Tables {
  std::vector<u8> entry_point, tables;
};
/// The 64-bit entry point says that the tables are at `address`.
Tables make_tables(const System& system, u64 address);

/// Writes the 64-bit entry point to `base` (16-byte aligned, in 0xF0000..0xFFFFF, where it is searched for) and the
/// tables after it. Failed when they do not fit below `end`.
Result<> write_tables(vm::GuestMemory& memory, const System& system, u64 base, u64 end);

}  // namespace vireo::boot::smbios
