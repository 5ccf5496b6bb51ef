// The PC's addresses: the one list of what is where.
//
//   0x00000000  RAM, up to 640 KiB           0xE0000000  ECAM, 256 MiB
//   0x000A0000  VGA window (nothing yet)     0xFEC00000  I/O APIC
//   0x000C0000  RAM; tables at 0xE0000       0xFEE00000  local APICs (the engine answers)
//   0x00100000  RAM, up to 3 GiB            0x100000000  RAM that did not fit below
//   0xC0000000  PCI memory, 512 MiB          above RAM   PCI memory, 64-bit
//
// With firmware RAM below 4 GiB ends at 2 GiB, the ROM lies right below 4 GiB, its last 128 KiB once more at 0xE0000,
// and firmware chooses where configuration space is (0xB0000000 or 0xE0000000) and BARs are.
#pragma once

#include <optional>
#include <vector>

#include "boot/acpi/acpi.h"
#include "boot/common/e820.h"
#include "machine/spec/spec.h"
#include "vm/memory/memory.h"

namespace vireo::machine::layout {

// Guest-physical memory
constexpr u64 kBaseMemoryEnd = 0xA0000, kUpperMemory = 0xC0000;
constexpr u64 kExtendedBiosData = 0x9FC00;  ///< reserved, as every PC has it
constexpr u64 kTables = 0xE0000, kSmbios = 0xF0000, kTablesEnd = 0x100000;
constexpr u64 kLowMemoryEnd = 0xC0000000, kFirmwareLowMemoryEnd = 0x80000000, kHighMemory = 4 * kGiB;
constexpr u64 kPciMemory = 0xC0000000, kPciMemoryEnd = 0xE0000000;
constexpr u64 kEcam = 0xE0000000;
constexpr u64 kIoApic = 0xFEC00000, kLocalApic = 0xFEE00000;
constexpr u64 kFirmwarePciMemoryEnd = 0xFEC00000;
constexpr u64 kRomCopySize = 128 * kKiB;     ///< below 1 MiB
constexpr u64 kPciMemory64Size = 32 * kGiB;  ///< naturally aligned, above RAM

// I/O ports
constexpr u16 kPicMaster = 0x20, kPit = 0x40, kI8042Data = 0x60, kPort61 = 0x61, kI8042Command = 0x64, kRtc = 0x70,
              kPort92 = 0x92, kPicSlave = 0xA0, kElcr = 0x4D0, kDebugPort = 0x402, kFwCfg = 0x510, kAcpiPm = 0x600,
              kPciConfig = 0xCF8, kResetControl = 0xCF9;
struct ComPort {
  u16 port;
  u8 irq;
};
/// The third and fourth have interrupts of their own: an edge on a shared one is lost.
constexpr ComPort kComPorts[] = {{0x3F8, 4}, {0x2F8, 3}, {0x3E8, 10}, {0x2E8, 11}};

// ISA interrupts
constexpr unsigned kPitIrq = 0, kKeyboardIrq = 1, kRtcIrq = 8, kSciIrq = 9, kMouseIrq = 12;
/// The first I/O APIC pin of PCI's eight interrupt wires.
constexpr unsigned kPciPins = 16;
/// The I/O APIC pin of an ISA interrupt: the timer comes at pin 2 (MADT says so), the others at their own number.
constexpr unsigned ioapic_pin(unsigned isa_irq) { return isa_irq == kPitIrq ? 2 : isa_irq; }

// Slots (device numbers) of PCI's bus 0. What a guest calls its devices, and the states that are saved, depend on them:
// each kind has places of its own, whatever else there is.
constexpr unsigned kRngSlot = 1, kBalloonSlot = 2, kConsoleSlot = 3, kFirstPortSlot = 4, kFirstNicSlot = 8,
                   kNicSlots = 8, kFirstDiskSlot = 16, kDiskSlots = 16;
/// With firmware the last one belongs to the chipset.
constexpr unsigned kLpcSlot = 31;
constexpr unsigned kMaxConsolePorts = 31;
/// A device's slot and function. Devices that few machines have share the slots of two that every machine has, whose
/// function 0 a guest must find to look for the others.
struct Place {
  unsigned slot = 0, function = 0;
};
constexpr Place kVsock = {kRngSlot, 1}, kFirstInput = {kRngSlot, 2}, kFirstShare = {kBalloonSlot, 1};
constexpr unsigned kMaxInputs = 6, kMaxShares = 7;

// `size` is that of RAM in bytes, `rom` that of the firmware, 0 for none.

/// RAM around the holes, and the firmware's ROM.
std::vector<vm::GuestMemory::Slot> memory_slots(u64 size, u64 rom = 0);
/// The same as the guest is told of it, with what is reserved.
boot::MemoryMap memory_map(u64 size);
/// RAM alone, for firmware, which knows what it reserves.
boot::MemoryMap ram_map(u64 size);
/// First address above all RAM (at least 4 GiB).
u64 end_of_memory(u64 size, u64 rom = 0);
/// The end of RAM below 4 GiB.
u64 end_of_low_memory(u64 size, u64 rom = 0);
/// The 64-bit window, if the CPU's physical addresses reach it.
std::optional<boot::acpi::Window> pci_memory64(u64 memory_size, unsigned physical_address_bits, u64 rom = 0);

}  // namespace vireo::machine::layout
