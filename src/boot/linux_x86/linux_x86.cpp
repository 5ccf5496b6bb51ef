#include "boot/linux_x86/linux_x86.h"

#include <algorithm>
#include <array>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/common/fit.h"
#include "boot/common/flat_state.h"
#include "boot/linux_x86/spec.h"

namespace vireo::boot::linux_x86 {
namespace {

/// What the set-up header says, checked against the file's size.
struct Kernel {
  std::span<const u8> code;  ///< protected-mode part
  u64 address = 0;           ///< where it is loaded
  u64 size = 0;              ///< memory it needs from there until it has read the memory map
  u64 initrd_limit = 0;      ///< first address an initial RAM disk may not touch
  u32 header_end = 0;
  bool wide = false;  ///< has the 64-bit entry
};

template <class T>
T field(std::span<const u8> file, u32 offset) {
  return load<T>(file.data() + offset);
}

Result<Kernel> parse(const BootImages& images) {
  const auto file = images.kernel;
  const auto name = images.kernel_name;
  if (!is_bzimage(file)) return fail(ErrorKind::Usage, "'{}' is not a Linux bzImage", name);
  const u16 version = field<u16>(file, header::version);
  if (version < kVersion212) {
    return fail(ErrorKind::Usage, "kernel '{}' has boot protocol {}.{:02}; 2.12 (Linux 3.8) or later is needed", name,
                version >> 8, version & 0xFF);
  }
  if (file.size() < header::kEnd) return fail(ErrorKind::Usage, "kernel '{}' is truncated", name);
  const u8 setup_sects = file[header::setup_sects];
  const u64 setup_size = (u64{setup_sects == 0 ? u8{4} : setup_sects} + 1) * kSector;
  const u64 code_size = u64{field<u32>(file, header::syssize)} * 16;
  if (code_size <= kEntry64) return fail(ErrorKind::Usage, "kernel '{}' is corrupt: it has no code", name);
  if (file.size() < setup_size + code_size) {
    return fail(ErrorKind::Usage, "kernel '{}' is truncated: {} bytes of {}", name, file.size(),
                setup_size + code_size);
  }
  Kernel kernel;
  kernel.code = file.subspan(setup_size, code_size);
  kernel.address = field<u64>(file, header::pref_address);
  kernel.size = std::max<u64>(field<u32>(file, header::init_size), code_size);
  kernel.initrd_limit = u64{field<u32>(file, header::initrd_addr_max)} + 1;
  kernel.wide = field<u16>(file, header::xloadflags) & XLF_KERNEL_64;
  kernel.header_end = std::min<u32>(header::magic + file[header::jump + 1], boot_params::e820_table);
  return kernel;
}

void put_memory_map(std::array<u8, boot_params::kSize>& zero_page, std::span<const MemoryRange> map) {
  constexpr u32 kEntrySize = 20;
  u8 count = 0;
  for (const auto& range : map.first(std::min<std::size_t>(map.size(), boot_params::kE820Max))) {
    u8* entry = zero_page.data() + boot_params::e820_table + count++ * kEntrySize;
    store(entry, range.base);
    store(entry + 8, range.size);
    store(entry + 16, raw(range.type));
  }
  zero_page[boot_params::e820_entries] = count;
}

}  // namespace

bool is_bzimage(std::span<const u8> file) {
  return file.size() >= header::version + sizeof(u16) && field<u16>(file, header::boot_flag) == kBootFlag &&
         field<u32>(file, header::magic) == kMagic;
}

Result<vm::x86::CpuState> load_bzimage(vm::GuestMemory& memory, const BootImages& images) {
  TRY_ASSIGN(const Kernel kernel, parse(images));
  TRY(check_kernel_fits(images, kernel.address, kernel.size));
  TRY_ASSIGN(const u64 initrd,
             place_initrd(memory, images, kernel.address, kernel.address + kernel.size, kernel.initrd_limit));
  TRY(put_command_line(memory, images, field<u32>(images.kernel, header::cmdline_size)));
  memory.write(kernel.address, kernel.code.data(), kernel.code.size());

  std::array<u8, boot_params::kSize> zero_page{};
  std::ranges::copy(images.kernel.subspan(header::setup_sects, kernel.header_end - header::setup_sects),
                    zero_page.begin() + header::setup_sects);
  zero_page[header::type_of_loader] = kUndefinedLoader;
  zero_page[header::loadflags] |= LOADED_HIGH;
  store(&zero_page[header::ramdisk_image], static_cast<u32>(initrd));
  store(&zero_page[header::ramdisk_size], static_cast<u32>(images.initrd.size()));
  store(&zero_page[header::cmd_line_ptr], static_cast<u32>(kCommandLineAddress));
  store(&zero_page[header::setup_data], u64{0});
  store(&zero_page[boot_params::acpi_rsdp_addr], images.rsdp);
  put_memory_map(zero_page, images.memory_map);
  memory.write(kParametersAddress, zero_page.data(), zero_page.size());

  TRY_ASSIGN(vm::x86::CpuState state,
             kernel.wide ? flat64_state(memory, kernel.address + kEntry64) : flat32_state(memory, kernel.address));
  state.regs.gpr[vm::x86::RSI] = kParametersAddress;
  return state;
}

}  // namespace vireo::boot::linux_x86
