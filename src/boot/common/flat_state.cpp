#include "boot/common/flat_state.h"

#include <array>

#include "boot/common/images.h"

namespace vireo::boot {
namespace {

using namespace vm::x86;

// SDM 3A 3.4.5: type and S, DPL, P in the low byte; AVL, L, D/B, G in bits 12..15.
constexpr u32 kCode = 0x9B, kData = 0x93, kBusyTss32 = 0x8B, kLdt = 0x82;
constexpr u32 kLong = 0x2000, kBig = 0x4000, kPageGranular = 0x8000;
constexpr u16 kCodeSelector = 0x10, kDataSelector = 0x18, kTaskSelector = 0x20;

/// A flat descriptor (base 0, limit 4 GiB) with these attributes; the TSS has limit 0x67.
constexpr u64 descriptor(u32 attributes, u32 limit) {
  return (u64{limit & 0xFFFF}) | (u64{attributes & 0xFF} << 40) | (u64{(limit >> 16) & 15} << 48) |
         (u64{(attributes >> 12) & 15} << 52);
}

Segment flat(u16 selector, u32 attributes) {
  return {.selector = selector, .attributes = attributes, .limit = 0xFFFFFFFF, .base = 0};
}

Result<CpuState> flat_state(vm::GuestMemory& memory, u64 entry, u32 code_attributes) {
  const u32 data_attributes = kData | kBig | kPageGranular;
  const std::array<u64, 5> gdt = {0, 0, descriptor(code_attributes, 0xFFFFF), descriptor(data_attributes, 0xFFFFF),
                                  descriptor(kBusyTss32, 0x67)};
  if (!memory.write(kGdtAddress, gdt.data(), sizeof gdt)) {
    return fail(ErrorKind::Usage, "the machine has no memory at {:#x} for the boot structures", kGdtAddress);
  }
  CpuState state = reset_state(true, 0);
  state.regs = {};
  state.regs.rip = entry;
  auto& sys = state.sys;
  sys.segment[CS] = flat(kCodeSelector, code_attributes);
  for (auto seg : {DS, ES, FS, GS, SS}) sys.segment[seg] = flat(kDataSelector, data_attributes);
  sys.segment[TR] = {.selector = kTaskSelector, .attributes = kBusyTss32, .limit = 0x67, .base = 0};
  sys.segment[LDTR] = {.selector = 0, .attributes = kLdt | Segment::kUnusable, .limit = 0, .base = 0};
  sys.gdtr = {.base = kGdtAddress, .limit = sizeof gdt - 1};
  sys.idtr = {.base = 0, .limit = 0};
  sys.cr0 = cr0::PE | cr0::ET;
  return state;
}

}  // namespace

Result<CpuState> flat32_state(vm::GuestMemory& memory, u64 entry) {
  return flat_state(memory, entry, kCode | kBig | kPageGranular);
}

Result<CpuState> flat64_state(vm::GuestMemory& memory, u64 entry) {
  TRY_ASSIGN(CpuState state, flat_state(memory, entry, kCode | kLong | kPageGranular));
  // One PML4, one PDPT, four page directories of 2 MiB pages (SDM 3A 4.5).
  constexpr u64 kPresentWritable = 3, kLarge = bit(7);
  constexpr unsigned kDirectories = 4, kEntries = 512;
  std::array<u64, (2 + kDirectories) * kEntries> tables{};
  const auto page = [](unsigned n) { return kPageTablesAddress + n * kPageSize; };
  tables[0] = page(1) | kPresentWritable;
  for (unsigned i = 0; i < kDirectories; ++i) tables[kEntries + i] = page(2 + i) | kPresentWritable;
  for (unsigned i = 0; i < kDirectories * kEntries; ++i)
    tables[2 * kEntries + i] = i * 2 * kMiB | kLarge | kPresentWritable;
  if (!memory.write(kPageTablesAddress, tables.data(), sizeof tables)) {
    return fail(ErrorKind::Usage, "the machine has no memory at {:#x} for the boot structures", kPageTablesAddress);
  }
  state.sys.cr3 = page(0);
  state.sys.cr4 = cr4::PAE;
  state.sys.efer = efer::LME | efer::LMA;
  state.sys.cr0 = cr0::PE | cr0::ET | cr0::PG;
  return state;
}

}  // namespace vireo::boot
