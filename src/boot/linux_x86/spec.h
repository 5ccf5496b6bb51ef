// The Linux/x86 boot protocol's names (Linux Documentation/arch/x86/boot.rst and zero-page.rst). Offsets are into the
// file, and, for the set-up header 0x1F1.., into the zero page (struct boot_params) as well.
#pragma once

#include "base/types.h"

namespace vireo::boot::linux_x86 {

namespace header {
constexpr u32 setup_sects = 0x1F1, syssize = 0x1F4, boot_flag = 0x1FE, jump = 0x200, magic = 0x202, version = 0x206,
              type_of_loader = 0x210, loadflags = 0x211, ramdisk_image = 0x218, ramdisk_size = 0x21C,
              cmd_line_ptr = 0x228, initrd_addr_max = 0x22C, xloadflags = 0x236, cmdline_size = 0x238,
              setup_data = 0x250, pref_address = 0x258, init_size = 0x260, kEnd = 0x268;
}

/// Zero-page fields outside the set-up header.
namespace boot_params {
constexpr u32 acpi_rsdp_addr = 0x70, e820_entries = 0x1E8, e820_table = 0x2D0, kSize = 0x1000;
constexpr u32 kE820Max = 128;
}  // namespace boot_params

constexpr u32 kSector = 512;
constexpr u16 kBootFlag = 0xAA55;
constexpr u32 kMagic = 0x53726448;     // "HdrS"
constexpr u16 kVersion212 = 0x020C;    // first with xloadflags
constexpr u16 XLF_KERNEL_64 = 1;       // 64-bit entry at +0x200
constexpr u8 LOADED_HIGH = 1;          // loadflags: protected-mode code at 1 MiB or above
constexpr u8 kUndefinedLoader = 0xFF;  // type_of_loader: a loader without an assigned number
constexpr u64 kEntry64 = 0x200;        // past the start of the protected-mode code

}  // namespace vireo::boot::linux_x86
