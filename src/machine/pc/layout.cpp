#include "machine/pc/layout.h"

#include <algorithm>

#include "base/bits.h"
#include "pci/root/root.h"

namespace vireo::machine::layout {
namespace {

/// The end of RAM below the PCI hole.
u64 low_end(u64 size) { return std::min(size, kLowMemoryEnd); }
u64 high_size(u64 size) { return size - low_end(size); }

}  // namespace

std::vector<vm::GuestMemory::Slot> memory_slots(u64 size) {
  std::vector<vm::GuestMemory::Slot> slots = {
      {.gpa = 0, .size = kBaseMemoryEnd, .offset = 0},
      {.gpa = kUpperMemory, .size = low_end(size) - kUpperMemory, .offset = kBaseMemoryEnd},
  };
  if (high_size(size) != 0)
    slots.push_back({.gpa = kHighMemory, .size = high_size(size), .offset = slots[1].offset + slots[1].size});
  return slots;
}

boot::MemoryMap memory_map(u64 size) {
  using enum boot::MemoryType;
  boot::MemoryMap map = {
      {0, kExtendedBiosData, Ram},
      {kExtendedBiosData, kBaseMemoryEnd - kExtendedBiosData, Reserved},
      {kTables, kTablesEnd - kTables, Reserved},
      {kTablesEnd, low_end(size) - kTablesEnd, Ram},
      {kEcam, pci::Root::kEcamSize, Reserved},
  };
  if (high_size(size) != 0) map.push_back({kHighMemory, high_size(size), Ram});
  return map;
}

u64 end_of_memory(u64 size) { return kHighMemory + high_size(size); }

std::optional<boot::acpi::Window> pci_memory64(u64 memory_size, unsigned physical_address_bits) {
  const u64 base = align_up(end_of_memory(memory_size), kPciMemory64Size);
  if (base + kPciMemory64Size > bit(physical_address_bits)) return std::nullopt;
  return boot::acpi::Window{base, base + kPciMemory64Size - 1};
}

}  // namespace vireo::machine::layout
