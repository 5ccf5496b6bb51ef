// Boots a kernel file of any kind we know, told apart by its content: a Linux bzImage by the 64-bit boot protocol, an
// ELF file by PVH.
#pragma once

#include "base/result.h"
#include "boot/common/images.h"
#include "vm/memory/memory.h"
#include "vm/x86/state.h"

namespace vireo::boot {

/// Places kernel, initial RAM disk and boot structures in `memory`, which must be zero, and gives the boot CPU's state.
/// All bytes are treated as hostile. Errors (Usage) say what is wrong with which file, or how much memory is needed.
Result<vm::x86::CpuState> load_kernel(vm::GuestMemory& memory, const BootImages& images);

}  // namespace vireo::boot
