#include "machine/pc/layout.h"

#include <algorithm>

#include "base/bits.h"
#include "pci/root/root.h"

namespace vireo::machine::layout {
namespace {

u64 high_size(u64 size, u64 rom) { return size - end_of_low_memory(size, rom); }

}  // namespace

u64 end_of_low_memory(u64 size, u64 rom) { return std::min(size, rom != 0 ? kFirmwareLowMemoryEnd : kLowMemoryEnd); }

std::vector<vm::GuestMemory::Slot> memory_slots(u64 size, u64 rom) {
  std::vector<vm::GuestMemory::Slot> slots = {
      {.gpa = 0, .size = kBaseMemoryEnd, .offset = 0},
      {.gpa = kUpperMemory, .size = end_of_low_memory(size, rom) - kUpperMemory, .offset = kBaseMemoryEnd},
  };
  const auto add = [&](u64 gpa, u64 bytes) {
    if (bytes != 0) slots.push_back({.gpa = gpa, .size = bytes, .offset = slots.back().offset + slots.back().size});
  };
  add(kHighMemory - rom, rom);
  add(kHighMemory, high_size(size, rom));
  return slots;
}

boot::MemoryMap memory_map(u64 size) {
  using enum boot::MemoryType;
  boot::MemoryMap map = {
      {0, kExtendedBiosData, Ram},
      {kExtendedBiosData, kBaseMemoryEnd - kExtendedBiosData, Reserved},
      {kTables, kTablesEnd - kTables, Reserved},
      {kTablesEnd, end_of_low_memory(size) - kTablesEnd, Ram},
      {kEcam, pci::Root::kEcamSize, Reserved},
  };
  if (high_size(size, 0) != 0) map.push_back({kHighMemory, high_size(size, 0), Ram});
  return map;
}

boot::MemoryMap ram_map(u64 size) {
  boot::MemoryMap map = {{0, end_of_low_memory(size, 1), boot::MemoryType::Ram}};
  if (high_size(size, 1) != 0) map.push_back({kHighMemory, high_size(size, 1), boot::MemoryType::Ram});
  return map;
}

u64 end_of_memory(u64 size, u64 rom) { return kHighMemory + high_size(size, rom); }

std::optional<boot::acpi::Window> pci_memory64(u64 memory_size, unsigned physical_address_bits, u64 rom) {
  const u64 base = align_up(end_of_memory(memory_size, rom), kPciMemory64Size);
  if (base + kPciMemory64Size > bit(physical_address_bits)) return std::nullopt;
  return boot::acpi::Window{base, base + kPciMemory64Size - 1};
}

}  // namespace vireo::machine::layout
