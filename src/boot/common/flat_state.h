// The CPU states boot protocols ask for: flat segments, interrupts off, everything else as after RESET.
#pragma once

#include "base/result.h"
#include "vm/memory/memory.h"
#include "vm/x86/state.h"

namespace vireo::boot {

/// 32-bit protected mode without paging, flat 4 GiB segments (CS 0x10, others 0x18), TR a busy 32-bit TSS. Writes the
/// GDT.
Result<vm::x86::CpuState> flat32_state(vm::GuestMemory& memory, u64 entry);

/// 64-bit mode, the first 4 GiB identity mapped with 2 MiB pages, same selectors. Writes the GDT and the page tables.
Result<vm::x86::CpuState> flat64_state(vm::GuestMemory& memory, u64 entry);

}  // namespace vireo::boot
