// Loads a Linux bzImage by the 64-bit boot protocol, or by the 32-bit one when the kernel is a 32-bit one: the
// protected-mode code goes to its preferred address, the initial RAM disk as high as the kernel accepts it, the zero
// page and the command line into low memory, and the boot CPU starts with RSI pointing at the zero page: in 64-bit mode
// at the code's offset 0x200, or in 32-bit protected mode without paging at its beginning.
#pragma once

#include "base/result.h"
#include "boot/common/images.h"
#include "vm/memory/memory.h"
#include "vm/x86/state.h"

namespace vireo::boot::linux_x86 {

/// The file carries the set-up header's signatures: it is a Linux/x86 kernel image, of whatever age.
bool is_bzimage(std::span<const u8> file);

/// State of the boot CPU (APIC id 0). Errors (Usage): truncated file, protocol before 2.12, command
/// line too long, kernel or initial RAM disk too large for the memory.
Result<vm::x86::CpuState> load_bzimage(vm::GuestMemory& memory, const BootImages& images);

}  // namespace vireo::boot::linux_x86
