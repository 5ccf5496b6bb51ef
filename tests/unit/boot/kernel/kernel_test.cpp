#include "boot/kernel/kernel.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/linux_x86/spec.h"
#include "boot/pvh/spec.h"

namespace vireo::boot {
namespace {

using linux_x86::kEntry64;
namespace header = linux_x86::header;
namespace x86 = vm::x86;

constexpr u64 kPreferred = 16 * kMiB, kInitSize = 8 * kMiB;

struct Guest {
  explicit Guest(u64 size)
      : memory(std::move(vm::GuestMemory::create({{.gpa = 0, .size = size, .offset = 0}}).value())),
        map{{0, 0xA0000, MemoryType::Ram},
            {0xE0000, 0x20000, MemoryType::Reserved},
            {kMiB, size - kMiB, MemoryType::Ram}} {}
  vm::GuestMemory memory;
  MemoryMap map;
};

/// A bzImage with one set-up sector and a page of code that starts with 0xC0DE.
std::vector<u8> bzimage() {
  std::vector<u8> file(2 * linux_x86::kSector + 0x1000, 0);
  file[header::setup_sects] = 1;
  store(&file[header::syssize], u32{0x100});
  store(&file[header::boot_flag], linux_x86::kBootFlag);
  file[header::jump + 1] = 0x6A;
  store(&file[header::magic], linux_x86::kMagic);
  store(&file[header::version], u16{0x020F});
  store(&file[header::initrd_addr_max], u32{0x7FFFFFFF});
  store(&file[header::xloadflags], linux_x86::XLF_KERNEL_64);
  store(&file[header::cmdline_size], u32{2047});
  store(&file[header::pref_address], kPreferred);
  store(&file[header::init_size], static_cast<u32>(kInitSize));
  store(&file[2 * linux_x86::kSector], u16{0xC0DE});
  return file;
}

struct ElfOptions {
  u64 address = kMiB;
  u64 memory_size = 0x2000;
  bool note = true;
  bool wide = true;
};

/// An ELF kernel: one PT_LOAD with the bytes "code", one PT_NOTE with a foreign note before PVH's.
std::vector<u8> elf(const ElfOptions& options) {
  ByteWriter out;
  const auto word = [&](u64 value) { options.wide ? out.put(value) : out.put(static_cast<u32>(value)); };
  const u32 header_size = options.wide ? 64 : 52;
  const u32 entry_size = options.wide ? 56 : 32;
  const u64 notes = header_size + 2 * entry_size;
  ByteWriter note;
  note.put(u32{5}), note.put(u32{2}), note.put(u32{1}),
      note.put_bytes(std::array<u8, 12>{'V', 'e', 'n', 'd', 0, 0, 0, 0, 9, 9});
  if (options.note) {
    note.put(u32{4}), note.put(u32{options.wide ? 8u : 4u}), note.put(pvh::XEN_ELFNOTE_PHYS32_ENTRY);
    note.put_bytes(std::array<u8, 4>{'X', 'e', 'n', 0});
    if (options.wide) note.put(options.address + 4);
    if (!options.wide) note.put(static_cast<u32>(options.address + 4));
  }
  const u64 code = notes + note.bytes().size();
  const auto program_header = [&](u32 type, u64 offset, u64 size, u64 memory_size) {
    out.put(type);
    if (options.wide) out.put(u32{7});
    word(offset), word(0), word(options.address), word(size), word(memory_size);
    if (!options.wide) out.put(u32{7});
    word(4);
  };
  out.put(pvh::ELFMAG), out.put(options.wide ? pvh::ELFCLASS64 : pvh::ELFCLASS32), out.put(pvh::ELFDATA2LSB),
      out.put(u8{1});
  out.put_bytes(std::array<u8, 9>{});
  out.put(pvh::ET_EXEC), out.put(options.wide ? pvh::EM_X86_64 : pvh::EM_386), out.put(u32{1});
  word(0), word(header_size), word(0);
  out.put(u32{0}), out.put(static_cast<u16>(header_size)), out.put(static_cast<u16>(entry_size)), out.put(u16{2});
  out.put(u16{0}), out.put(u16{0}), out.put(u16{0});
  program_header(pvh::PT_NOTE, notes, note.bytes().size(), note.bytes().size());
  program_header(pvh::PT_LOAD, code, 4, options.memory_size);
  out.put_bytes(note.bytes());
  out.put_bytes(std::array<u8, 4>{'c', 'o', 'd', 'e'});
  return std::move(out.bytes());
}

Result<x86::CpuState> boot(Guest& guest, std::span<const u8> kernel, std::span<const u8> initrd = {},
                           std::string_view line = "quiet") {
  return load_kernel(guest.memory, {.kernel = kernel,
                                    .kernel_name = "vmlinuz",
                                    .initrd = initrd,
                                    .command_line = line,
                                    .memory_map = guest.map,
                                    .rsdp = 0xE0000});
}

std::string error_of(const Result<x86::CpuState>& result) {
  EXPECT_FALSE(result.has_value());
  if (result) return "";
  EXPECT_EQ(result.error().kind, ErrorKind::Usage);
  return result.error().message;
}

template <class T>
T peek(const Guest& guest, u64 gpa) {
  T value{};
  EXPECT_TRUE(guest.memory.read(gpa, &value, sizeof value));
  return value;
}

TEST(BzImage, StartsInLongModeAtItsPreferredAddress) {
  Guest guest(64 * kMiB);
  const auto state = boot(guest, bzimage());
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->regs.rip, kPreferred + kEntry64);
  EXPECT_EQ(state->regs.gpr[x86::RSI], kParametersAddress);
  EXPECT_EQ(state->regs.rflags, x86::rflags::Fixed1);
  EXPECT_EQ(state->sys.cr0 & (x86::cr0::PG | x86::cr0::PE), x86::cr0::PG | x86::cr0::PE);
  EXPECT_EQ(state->sys.efer, x86::efer::LME | x86::efer::LMA);
  EXPECT_TRUE(state->sys.segment[x86::CS].l());
  EXPECT_EQ(state->sys.segment[x86::CS].selector, 0x10);
  EXPECT_EQ(peek<u16>(guest, kPreferred), 0xC0DE);
}

TEST(BzImage, WithoutA64BitEntryStartsInProtectedMode) {
  Guest guest(64 * kMiB);
  auto file = bzimage();
  file[header::xloadflags] = 0;
  const auto state = boot(guest, file);
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->regs.rip, kPreferred);
  EXPECT_EQ(state->regs.gpr[x86::RSI], kParametersAddress);
  for (const auto reg : {x86::RBX, x86::RBP, x86::RDI}) EXPECT_EQ(state->regs.gpr[reg], 0u);
  EXPECT_EQ(state->regs.rflags, x86::rflags::Fixed1);
  EXPECT_EQ(state->sys.cr0 & (x86::cr0::PG | x86::cr0::PE), u64{x86::cr0::PE});
  EXPECT_EQ(state->sys.efer, 0u);
  EXPECT_TRUE(state->sys.segment[x86::CS].db());
  EXPECT_EQ(state->sys.segment[x86::CS].selector, 0x10);
  for (const auto seg : {x86::DS, x86::ES, x86::SS}) EXPECT_EQ(state->sys.segment[seg].selector, 0x18);
}

TEST(BzImage, PageTablesMapTheFirstFourGigabytesToThemselves) {
  Guest guest(64 * kMiB);
  const auto state = boot(guest, bzimage());
  ASSERT_TRUE(state);
  for (u64 address = 0; address < 4 * kGiB; address += 510 * kMiB) {
    u64 table = state->sys.cr3;
    for (const unsigned shift : {39u, 30u}) table = peek<u64>(guest, table + 8 * bits(address, shift, 9)) & ~kPageMask;
    const u64 entry = peek<u64>(guest, table + 8 * bits(address, 21, 9));
    EXPECT_EQ(entry & 0x83, 0x83u);
    EXPECT_EQ(align_down(entry, 2 * kMiB), align_down(address, 2 * kMiB));
  }
}

TEST(BzImage, ZeroPageTellsMemoryCommandLineAndTables) {
  Guest guest(64 * kMiB);
  ASSERT_TRUE(boot(guest, bzimage(), {}, "console=ttyS0"));
  EXPECT_EQ(peek<u32>(guest, kParametersAddress + header::magic), linux_x86::kMagic);
  EXPECT_EQ(peek<u8>(guest, kParametersAddress + header::type_of_loader), 0xFF);
  EXPECT_EQ(peek<u64>(guest, kParametersAddress + 0x70), 0xE0000u);
  EXPECT_EQ(peek<u8>(guest, kParametersAddress + 0x1E8), 3);
  EXPECT_EQ(peek<u64>(guest, kParametersAddress + 0x2D0 + 2 * 20), kMiB);
  EXPECT_EQ(peek<u64>(guest, kParametersAddress + 0x2D0 + 2 * 20 + 8), 63 * kMiB);
  const u64 line = peek<u32>(guest, kParametersAddress + header::cmd_line_ptr);
  EXPECT_EQ((peek<std::array<char, 14>>(guest, line)), (std::array<char, 14>{"console=ttyS0"}));
}

TEST(BzImage, InitrdGoesToTheTopOfMemoryBelowTheKernelsLimit) {
  Guest guest(64 * kMiB);
  const std::vector<u8> initrd(5000, 0x5A);
  ASSERT_TRUE(boot(guest, bzimage(), initrd));
  EXPECT_EQ(peek<u32>(guest, kParametersAddress + header::ramdisk_image), 64 * kMiB - 0x2000);
  EXPECT_EQ(peek<u32>(guest, kParametersAddress + header::ramdisk_size), 5000u);
  auto limited = bzimage();
  store(&limited[header::initrd_addr_max], static_cast<u32>(40 * kMiB - 1));
  ASSERT_TRUE(boot(guest, limited, initrd));
  EXPECT_EQ(peek<u32>(guest, kParametersAddress + header::ramdisk_image), 40 * kMiB - 0x2000);
  EXPECT_EQ(peek<u8>(guest, 40 * kMiB - 0x2000), 0x5A);
}

TEST(BzImage, RefusesWhatItCannotBootAndSaysWhy) {
  Guest guest(64 * kMiB);
  auto file = bzimage();
  EXPECT_EQ(error_of(boot(guest, std::span(file).first(file.size() - 1))),
            "kernel 'vmlinuz' is truncated: 5119 bytes of 5120");
  EXPECT_EQ(error_of(boot(guest, std::span(file).first(0x230))), "kernel 'vmlinuz' is truncated");
  store(&file[header::version], u16{0x0204});
  EXPECT_EQ(error_of(boot(guest, file)),
            "kernel 'vmlinuz' has boot protocol 2.04; 2.12 (Linux 3.8) or later is needed");
  file = bzimage();
  store(&file[header::pref_address], ~u64{0} - 0x1000);
  EXPECT_NE(error_of(boot(guest, file)).find("outside 1 MiB to 4 GiB"), std::string::npos);
  EXPECT_EQ(error_of(boot(guest, {})), "kernel 'vmlinuz' is empty");
  EXPECT_EQ(error_of(boot(guest, std::vector<u8>(4096, 'x'))),
            "'vmlinuz' is not a kernel: neither a Linux bzImage nor an ELF file");
}

TEST(BzImage, SaysHowMuchMemoryIsNeeded) {
  Guest small(20 * kMiB);
  EXPECT_EQ(error_of(boot(small, bzimage())),
            "kernel 'vmlinuz' needs at least 24 MiB of memory, the machine has 20 MiB");
  Guest guest(26 * kMiB);
  const std::vector<u8> initrd(17 * kMiB);
  EXPECT_EQ(error_of(boot(guest, bzimage(), initrd)),
            "the initrd (17 MiB) and kernel 'vmlinuz' need at least 41 MiB of memory, the machine has 26 MiB");
  auto limited = bzimage();
  store(&limited[header::initrd_addr_max], static_cast<u32>(30 * kMiB - 1));
  EXPECT_EQ(error_of(boot(guest, limited, initrd)),
            "the initrd is too large: 17 MiB, and kernel 'vmlinuz' takes one only below 30 MiB");
}

TEST(BzImage, RefusesACommandLineLongerThanTheKernelTakes) {
  Guest guest(64 * kMiB);
  EXPECT_TRUE(boot(guest, bzimage(), {}, std::string(2047, 'x')));
  EXPECT_EQ(error_of(boot(guest, bzimage(), {}, std::string(2048, 'x'))),
            "the kernel command line is too long: 2048 bytes, kernel 'vmlinuz' takes at most 2047");
}

TEST(Pvh, StartsAtTheEntryOfTheNoteInFlatProtectedMode) {
  for (const bool wide : {true, false}) {
    Guest guest(16 * kMiB);
    const auto state = boot(guest, elf({.wide = wide}));
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(state->regs.rip, kMiB + 4);
    EXPECT_EQ(state->regs.gpr[x86::RBX], kParametersAddress);
    EXPECT_EQ(state->sys.cr0, x86::cr0::PE | x86::cr0::ET);
    EXPECT_EQ(state->sys.efer, 0u);
    EXPECT_TRUE(state->sys.segment[x86::CS].db());
    EXPECT_EQ(state->sys.segment[x86::CS].limit, 0xFFFFFFFFu);
    EXPECT_EQ(peek<u32>(guest, kMiB), load<u32>("code"));
  }
}

TEST(Pvh, StartInfoTellsModuleCommandLineAndMemory) {
  Guest guest(16 * kMiB);
  const std::vector<u8> initrd(100, 7);
  ASSERT_TRUE(boot(guest, elf({}), initrd, "abc"));
  const auto info = peek<std::array<u32, 14>>(guest, kParametersAddress);
  EXPECT_EQ(info[0], pvh::XEN_HVM_START_MAGIC_VALUE);
  EXPECT_EQ(info[1], 1u);
  EXPECT_EQ(info[3], 1u);
  EXPECT_EQ(peek<u32>(guest, info[6]), load<u32>("abc"));
  EXPECT_EQ(info[8], 0xE0000u);
  EXPECT_EQ(info[12], 3u);
  EXPECT_EQ(peek<u64>(guest, info[4]), 16 * kMiB - 0x1000);
  EXPECT_EQ(peek<u64>(guest, info[4] + 8), 100u);
  EXPECT_EQ(peek<u64>(guest, info[10] + 2 * 24), kMiB);
  EXPECT_EQ(peek<u32>(guest, info[10] + 24 + 16), 2u);
}

TEST(Pvh, RefusesWhatItCannotBootAndSaysWhy) {
  Guest guest(16 * kMiB);
  EXPECT_NE(error_of(boot(guest, elf({.note = false}))).find("has no PVH entry"), std::string::npos);
  const auto file = elf({});
  EXPECT_EQ(error_of(boot(guest, std::span(file).first(file.size() - 1))), "kernel 'vmlinuz' is truncated");
  EXPECT_EQ(error_of(boot(guest, std::span(file).first(20))), "kernel 'vmlinuz' is truncated");
  EXPECT_EQ(error_of(boot(guest, elf({.memory_size = 17 * kMiB}))),
            "kernel 'vmlinuz' needs at least 18 MiB of memory, the machine has 16 MiB");
  EXPECT_NE(error_of(boot(guest, elf({.address = 0x1000}))).find("outside 1 MiB to 4 GiB"), std::string::npos);
  EXPECT_EQ(error_of(boot(guest, elf({.memory_size = 3}))), "kernel 'vmlinuz' is corrupt: bad program headers");
  auto arm = file;
  store(&arm[18], u16{183});
  EXPECT_EQ(error_of(boot(guest, arm)), "'vmlinuz' is an ELF file, but not an x86 kernel");
}

TEST(MemoryMap, PlacesHighAroundWhatIsTaken) {
  const MemoryMap map = {{0, 10 * kMiB, MemoryType::Ram}, {16 * kMiB, 4 * kMiB, MemoryType::Ram}};
  EXPECT_EQ(place_high(map, kMiB, 4 * kGiB, 0, 0), 19 * kMiB);
  EXPECT_EQ(place_high(map, kMiB, 4 * kGiB, 17 * kMiB, 20 * kMiB), 16 * kMiB);
  EXPECT_EQ(place_high(map, 5 * kMiB, 4 * kGiB, 0, 0), 5 * kMiB);
  EXPECT_EQ(place_high(map, kMiB, 4 * kMiB, 0, 0), 3 * kMiB);
  EXPECT_EQ(place_high(map, 11 * kMiB, 4 * kGiB, 0, 0), 0u);
}

}  // namespace
}  // namespace vireo::boot
