// What firmware would have done before a kernel starts: tables in memory, CPU registers that the operating system
// expects to be set up. And what real firmware is given to do the same.
#pragma once

#include <functional>
#include <span>

#include "base/result.h"
#include "dev/fwcfg/fwcfg.h"
#include "machine/spec/spec.h"
#include "vm/memory/memory.h"
#include "vm/x86/state.h"

namespace vireo::machine::firmware {

struct Platform {
  u64 memory = 0;
  unsigned cpus = 1;
  unsigned serial_ports = 1;
  unsigned physical_address_bits = 40;
  u64 rom = 0;  ///< the firmware's size, bytes; 0: there is none
};

/// Writes the ACPI and SMBIOS tables; the RSDP's address.
Result<u64> write_tables(vm::GuestMemory& memory, const Platform& platform);

/// The same for firmware, by the items and files of fw_cfg. `ecam` tells where configuration space is by then.
void fill(dev::FwCfg& fw_cfg, const Platform& platform, const FirmwareBoot& boot, std::function<u64()> ecam);
/// Copies the firmware to where a CPU starts, and its end below 1 MiB; `memory` has a slot of its size.
void load(vm::GuestMemory& memory, std::span<const u8> rom);

/// MTRRs: RAM write-back, the VGA window and everything from the PCI hole to 4 GiB uncached. The same on every CPU.
void set_memory_types(vm::x86::SystemRegs& sys, unsigned physical_address_bits);

/// The boot CPU's local APIC enabled, with the 8259 at LINT0 and NMI at LINT1 (MultiProcessor
/// Specification 1.4, 3.6.2.2: virtual wire mode).
void set_virtual_wire(vm::x86::ApicState& apic);

/// Of that, what firmware relies on when it begins: the 8259 at LINT0.
void connect_pic(vm::x86::ApicState& apic);

}  // namespace vireo::machine::firmware
