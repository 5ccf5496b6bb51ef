// Loads an ELF kernel by the PVH protocol: segments at their physical addresses, hvm_start_info with memory map, module
// and command line in low memory; the boot CPU starts in 32-bit protected mode at the address in the kernel's Xen note
// (XEN_ELFNOTE_PHYS32_ENTRY) with EBX pointing at hvm_start_info.
#pragma once

#include "base/result.h"
#include "boot/common/images.h"
#include "boot/pvh/elf.h"
#include "vm/memory/memory.h"
#include "vm/x86/state.h"

namespace vireo::boot::pvh {

/// State of the boot CPU (APIC id 0). RAM above kHighMemory must be zero before. Errors (Usage): not an x86 ELF kernel,
/// truncated, no PVH entry, command line too long, kernel or initial RAM disk too large for the memory.
Result<vm::x86::CpuState> load_elf(vm::GuestMemory& memory, const BootImages& images);

}  // namespace vireo::boot::pvh
