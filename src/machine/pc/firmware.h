// What firmware would have done before a kernel starts: tables in memory, CPU registers that the operating system
// expects to be set up.
#pragma once

#include "base/result.h"
#include "machine/spec/spec.h"
#include "vm/memory/memory.h"
#include "vm/x86/state.h"

namespace vireo::machine::firmware {

struct Platform {
  u64 memory = 0;
  unsigned cpus = 1;
  unsigned serial_ports = 1;
  unsigned physical_address_bits = 40;
};

/// Writes the ACPI and SMBIOS tables; the RSDP's address.
Result<u64> write_tables(vm::GuestMemory& memory, const Platform& platform);

/// MTRRs: RAM write-back, the VGA window and everything from the PCI hole to 4 GiB uncached. The same on every CPU.
void set_memory_types(vm::x86::SystemRegs& sys, unsigned physical_address_bits);

/// The boot CPU's local APIC enabled, with the 8259 at LINT0 and NMI at LINT1 (MultiProcessor
/// Specification 1.4, 3.6.2.2: virtual wire mode).
void set_virtual_wire(vm::x86::ApicState& apic);

}  // namespace vireo::machine::firmware
