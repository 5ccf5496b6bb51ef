#include "boot/pvh/pvh.h"

#include <algorithm>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/common/fit.h"
#include "boot/common/flat_state.h"
#include "boot/pvh/spec.h"

namespace vireo::boot::pvh {
namespace {

constexpr u32 kStartInfoSize = 56, kModuleSize = 32;

/// hvm_start_info, then hvm_modlist_entry (one or none), then hvm_memmap_table_entry[].
std::vector<u8> start_info(const BootImages& images, u64 initrd) {
  const u32 modules = images.initrd.empty() ? 0 : 1;
  const u64 module_list = kParametersAddress + kStartInfoSize;
  ByteWriter out;
  out.put(XEN_HVM_START_MAGIC_VALUE);
  out.put(kStartInfoVersion);
  out.put(u32{0});  // flags
  out.put(modules);
  out.put(modules == 0 ? u64{0} : module_list);
  out.put(kCommandLineAddress);
  out.put(images.rsdp);
  out.put(module_list + modules * kModuleSize);
  out.put(static_cast<u32>(images.memory_map.size()));
  out.put(u32{0});
  if (modules != 0) {
    out.put(initrd);
    out.put(u64{images.initrd.size()});
    out.put(u64{0});  // its command line
    out.put(u64{0});
  }
  for (const auto& range : images.memory_map) {
    out.put(range.base);
    out.put(range.size);
    out.put(raw(range.type));
    out.put(u32{0});
  }
  return std::move(out.bytes());
}

}  // namespace

Result<vm::x86::CpuState> load_elf(vm::GuestMemory& memory, const BootImages& images) {
  TRY_ASSIGN(const ElfKernel kernel, parse_elf(images.kernel, images.kernel_name));
  if (!kernel.phys32_entry) {
    return fail(
        ErrorKind::Usage,
        "ELF kernel '{}' has no PVH entry (no Xen PHYS32_ENTRY note); use a bzImage or a kernel with CONFIG_PVH",
        images.kernel_name);
  }
  u64 base = ~u64{0};
  u64 end = 0;
  for (const auto& segment : kernel.segments) {
    TRY(check_kernel_fits(images, segment.address, segment.memory_size));
    base = std::min(base, segment.address);
    end = std::max(end, segment.address + segment.memory_size);
  }
  TRY_ASSIGN(const u64 initrd, place_initrd(memory, images, base, end, 4 * kGiB));
  TRY(put_command_line(memory, images, kCommandLineSpace - 1));
  for (const auto& segment : kernel.segments) {
    if (!segment.bytes.empty()) memory.write(segment.address, segment.bytes.data(), segment.bytes.size());
  }
  const auto info = start_info(images, initrd);
  if (info.size() > kPageTablesAddress - kParametersAddress ||
      !memory.write(kParametersAddress, info.data(), info.size())) {
    return fail(ErrorKind::Usage, "the machine has no memory at {:#x} for the boot structures", kParametersAddress);
  }
  TRY_ASSIGN(vm::x86::CpuState state, flat32_state(memory, *kernel.phys32_entry));
  state.regs.gpr[vm::x86::RBX] = kParametersAddress;
  return state;
}

}  // namespace vireo::boot::pvh
