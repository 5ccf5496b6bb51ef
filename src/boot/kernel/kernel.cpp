#include "boot/kernel/kernel.h"

#include "boot/linux_x86/linux_x86.h"
#include "boot/pvh/pvh.h"

namespace vireo::boot {

Result<vm::x86::CpuState> load_kernel(vm::GuestMemory& memory, const BootImages& images) {
  if (images.kernel.empty()) return fail(ErrorKind::Usage, "kernel '{}' is empty", images.kernel_name);
  if (pvh::is_elf(images.kernel)) return pvh::load_elf(memory, images);
  if (linux_x86::is_bzimage(images.kernel)) return linux_x86::load_bzimage(memory, images);
  return fail(ErrorKind::Usage, "'{}' is not a kernel: neither a Linux bzImage nor an ELF file", images.kernel_name);
}

}  // namespace vireo::boot
