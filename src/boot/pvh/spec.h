// Names of the ELF format (System V gABI, chapters 4 and 5) and of the PVH boot protocol (Xen docs/misc/pvh.pandoc and
// xen/include/public/arch-x86/hvm/start_info.h).
#pragma once

#include "base/types.h"

namespace vireo::boot::pvh {

constexpr u32 ELFMAG = 0x464C457F;  // "\x7FELF"
constexpr u8 ELFCLASS32 = 1, ELFCLASS64 = 2, ELFDATA2LSB = 1;
constexpr u16 ET_EXEC = 2, ET_DYN = 3, EM_386 = 3, EM_X86_64 = 62;
constexpr u32 PT_LOAD = 1, PT_NOTE = 4;

constexpr u32 XEN_ELFNOTE_PHYS32_ENTRY = 18;

constexpr u32 XEN_HVM_START_MAGIC_VALUE = 0x336EC578;
constexpr u32 kStartInfoVersion = 1;  // with memory map

}  // namespace vireo::boot::pvh
