// The parts every kernel loader shares: does it fit, where does the initial RAM disk go, the command line. All errors
// are Usage and say how much is needed.
#pragma once

#include "base/result.h"
#include "boot/common/images.h"
#include "vm/memory/memory.h"

namespace vireo::boot {

/// [address, address+size) is one piece of RAM between kHighMemory and 4 GiB.
Result<> check_kernel_fits(const BootImages& images, u64 address, u64 size);

/// Copies the initial RAM disk to the highest page of RAM below `limit` (and below 4 GiB) outside [kernel_base,
/// kernel_end); its address, or 0 when there is none to load.
Result<u64> place_initrd(vm::GuestMemory& memory, const BootImages& images, u64 kernel_base, u64 kernel_end, u64 limit);

/// Copies the command line and a terminating zero to kCommandLineAddress. `longest` excludes the zero.
Result<> put_command_line(vm::GuestMemory& memory, const BootImages& images, u64 longest);

}  // namespace vireo::boot
