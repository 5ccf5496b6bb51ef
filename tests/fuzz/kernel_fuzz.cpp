// Kernel files as the loader meets them: hostile bzImage and ELF headers, with and without an initial RAM disk.
#include <algorithm>
#include <cstdlib>

#include "boot/kernel/kernel.h"

using namespace vireo;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  constexpr u64 kSize = 4 * kMiB;
  static auto memory = std::move(vm::GuestMemory::create({{.gpa = 0, .size = kSize, .offset = 0}}).value());
  static const boot::MemoryMap map = {{0, 0xA0000, boot::MemoryType::Ram}, {kMiB, kSize - kMiB, boot::MemoryType::Ram}};
  if (size == 0) return 0;
  static const std::vector<u8> archive(4 * kMiB);
  const auto initrd = std::span(archive).first(data[0] % 32 == 0 ? archive.size() : data[0] % 4 * kPageSize);
  const std::vector<u8> file(data + 1, data + size);
  const auto state = boot::load_kernel(memory, {.kernel = file,
                                                .kernel_name = "fuzz",
                                                .initrd = initrd,
                                                .command_line = "console=ttyS0",
                                                .memory_map = map,
                                                .rsdp = 0xE0000});
  if (!state && state.error().message.empty()) std::abort();
  // 64 bytes into a page nobody loads to, low memory is the loader's
  if (const u8* below = memory.at(0x60000, 64); std::any_of(below, below + 64, [](u8 byte) { return byte != 0; }))
    std::abort();
  return 0;
}
