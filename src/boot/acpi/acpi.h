// The ACPI tables of the PC (ACPI 6.5, chapter 5): RSDP -> XSDT -> FADT (-> FACS, DSDT), MADT, MCFG, and whatever later
// devices add. The tables describe a machine; which one is said in Platform, filled by machine/pc.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "vm/memory/memory.h"

namespace vireo::boot::acpi {

struct SerialPort {
  u16 port = 0;
  u8 irq = 0;
};

/// Inclusive addresses.
struct Window {
  u64 first = 0, last = 0;
};

struct Platform {
  unsigned cpus = 1;  ///< APIC ids 0..cpus-1
  u32 lapic_address = 0, ioapic_address = 0;
  u8 ioapic_id = 0;
  u8 sci = 9;  ///< ISA IRQ and GSI, level triggered, active high

  // Fixed hardware (chapter 4), I/O ports. 0: not there.
  u16 pm1_event = 0, pm1_control = 0, pm_timer = 0, gpe0 = 0;
  u8 gpe0_length = 0;  ///< bytes, status and enable
  bool pm_timer_32bit = false;
  u8 s5_sleep_type = 0;
  u16 reset_port = 0;
  u8 reset_value = 0;

  // PCI host bridge: segment 0, buses 0..255
  u64 ecam = 0;
  std::vector<Window> mmio32;  ///< below 4 GiB
  std::optional<Window> mmio64;
  /// GSI of a device's pin (0 = INTA).
  u32 (*pci_gsi)(unsigned device, unsigned pin) = nullptr;

  std::vector<SerialPort> serial;
  bool keyboard = false;  ///< a PS/2 keyboard controller worth probing
  bool vga = false;
  u8 rtc_century = 0;            ///< CMOS index of the century, 0: none
  std::vector<Window> board_io;  ///< I/O ports taken by the board, for PNP0C02
  /// DSDT code for further devices, inside \_SB.PCI0; and whole further tables with their headers (HPET, TPM2, ...).
  std::vector<u8> more_aml;
  std::vector<std::vector<u8>> more_tables;
};

/// The tables as firmware places them: QEMU's "table loader" (docs/specs in QEMU; the interface of fw_cfg files
/// etc/table-loader, etc/acpi/tables and etc/acpi/rsdp). Pointers in the tables are offsets in the file they point into
/// until the commands in `loader` are carried out.
struct LoaderFiles {
  std::vector<u8> tables, rsdp, loader;
};
LoaderFiles make_loader_files(const Platform& platform);

/// Writes all tables to [base, end) of memory; the address of the RSDP, which is `base` (16-byte aligned, so that a
/// search of 0xE0000..0xFFFFF finds it). Failed when they do not fit.
Result<u64> write_tables(vm::GuestMemory& memory, const Platform& platform, u64 base, u64 end);

// The tables one by one, complete with header and checksum.
std::vector<u8> make_dsdt(const Platform& platform);
std::vector<u8> make_madt(const Platform& platform);
std::vector<u8> make_mcfg(const Platform& platform);
std::vector<u8> make_fadt(const Platform& platform, u32 facs, u32 dsdt);
std::vector<u8> make_facs();
std::vector<u8> make_xsdt(const std::vector<u64>& tables);
std::vector<u8> make_rsdp(u64 xsdt);

/// A table of `signature` around `body`.
std::vector<u8> make_table(std::string_view signature, u8 revision, const std::vector<u8>& body);

}  // namespace vireo::boot::acpi
