// What a boot loader is given, and where in low memory it puts its own structures.
//
//   0x00500  GDT            0x07000  zero page / hvm_start_info
//   0x09000  page tables    0x20000  command line (up to 64 KiB)
//   0xE0000  ACPI and SMBIOS tables (boot/acpi, boot/smbios; placed by the machine)
//
// All of it lies in E820 RAM (except the tables): a kernel copies what it needs before it uses that memory.
#pragma once

#include <span>
#include <string_view>

#include "base/types.h"
#include "boot/common/e820.h"

namespace vireo::boot {

constexpr u64 kGdtAddress = 0x500, kParametersAddress = 0x7000, kPageTablesAddress = 0x9000,
              kCommandLineAddress = 0x20000;
constexpr u64 kCommandLineSpace = 0x10000;  ///< with the terminating zero
constexpr u64 kTablesAddress = 0xE0000, kTablesEnd = 0x100000;
/// Kernels and initial RAM disks are placed from here up.
constexpr u64 kHighMemory = 0x100000;

struct BootImages {
  std::span<const u8> kernel = {};
  std::string_view kernel_name = {};  ///< for messages, usually the path
  std::span<const u8> initrd = {};    ///< empty: none
  std::string_view command_line = {};
  std::span<const MemoryRange> memory_map = {};
  u64 rsdp = 0;  ///< guest-physical address of the ACPI RSDP, 0: none
};

}  // namespace vireo::boot
