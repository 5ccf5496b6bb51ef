#include "boot/common/fit.h"

#include <algorithm>
#include <string>

#include "base/bits.h"

namespace vireo::boot {
namespace {

u64 in_mib(u64 bytes) { return align_up(bytes, kMiB) / kMiB; }

/// RAM, counting what lies under the legacy hole: the number the user gave, to a MiB.
u64 memory_mib(std::span<const MemoryRange> map) {
  u64 low = 0, high = 0;
  for (const auto& range : map) {
    if (range.type != MemoryType::Ram) continue;
    if (range.base < 4 * kGiB) low = std::max(low, range.end());
    if (range.base >= 4 * kGiB) high += range.size;
  }
  return in_mib(low + high);
}

u64 end_of_low_memory(std::span<const MemoryRange> map) {
  u64 end = 0;
  for (const auto& range : map) {
    if (range.type == MemoryType::Ram && range.base < 4 * kGiB) end = std::max(end, range.end());
  }
  return end;
}

}  // namespace

Result<> check_kernel_fits(const BootImages& images, u64 address, u64 size) {
  if (address < kHighMemory || address >= 4 * kGiB || size == 0 || size > 4 * kGiB - address) {
    return fail(ErrorKind::Usage, "kernel '{}' wants to be loaded at {:#x} ({} bytes), outside 1 MiB to 4 GiB",
                images.kernel_name, address, size);
  }
  if (is_ram(images.memory_map, address, size)) return {};
  return fail(ErrorKind::Usage, "kernel '{}' needs at least {} MiB of memory, the machine has {} MiB",
              images.kernel_name, in_mib(address + size), memory_mib(images.memory_map));
}

Result<u64> place_initrd(vm::GuestMemory& memory, const BootImages& images, u64 kernel_base, u64 kernel_end,
                         u64 limit) {
  const u64 size = images.initrd.size();
  if (size == 0) return 0;
  limit = std::min(limit, 4 * kGiB);
  const u64 at = place_high(images.memory_map, size, limit, kernel_base, kernel_end);
  if (at >= kHighMemory && memory.write(at, images.initrd.data(), size)) return at;
  const u64 needed = align_up(kernel_end, kPageSize) + align_up(size, kPageSize);
  if (needed > std::min(limit, std::max(end_of_low_memory(images.memory_map), 3 * kGiB))) {
    return fail(ErrorKind::Usage, "the initrd is too large: {} MiB, and kernel '{}' takes one only below {} MiB",
                in_mib(size), images.kernel_name, limit / kMiB);
  }
  return fail(ErrorKind::Usage,
              "the initrd ({} MiB) and kernel '{}' need at least {} MiB of memory, the machine has {} MiB",
              in_mib(size), images.kernel_name, in_mib(needed), memory_mib(images.memory_map));
}

Result<> put_command_line(vm::GuestMemory& memory, const BootImages& images, u64 longest) {
  longest = std::min(longest, kCommandLineSpace - 1);
  if (images.command_line.size() > longest) {
    return fail(ErrorKind::Usage, "the kernel command line is too long: {} bytes, kernel '{}' takes at most {}",
                images.command_line.size(), images.kernel_name, longest);
  }
  const std::string line(images.command_line);
  if (!memory.write(kCommandLineAddress, line.c_str(), line.size() + 1)) {
    return fail(ErrorKind::Usage, "the machine has no memory at {:#x} for the boot structures", kCommandLineAddress);
  }
  return {};
}

}  // namespace vireo::boot
