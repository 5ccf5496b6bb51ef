#include "machine/pc/firmware.h"

#include "base/bits.h"
#include "boot/acpi/acpi.h"
#include "boot/smbios/smbios.h"
#include "dev/acpipm/spec.h"
#include "dev/resetctl/spec.h"
#include "dev/rtc/spec.h"
#include "machine/pc/layout.h"
#include "pci/root/root.h"

namespace vireo::machine::firmware {

Result<u64> write_tables(vm::GuestMemory& memory, const Platform& platform) {
  namespace pm = dev::acpipm;
  const auto pm_port = [](pm::Reg reg) { return static_cast<u16>(layout::kAcpiPm + raw(reg)); };
  boot::acpi::Platform acpi;
  acpi.cpus = platform.cpus;
  acpi.lapic_address = static_cast<u32>(layout::kLocalApic);
  acpi.ioapic_address = static_cast<u32>(layout::kIoApic);
  acpi.sci = layout::kSciIrq;
  acpi.pm1_event = pm_port(pm::Reg::PM1_STS);
  acpi.pm1_control = pm_port(pm::Reg::PM1_CNT);
  acpi.pm_timer = pm_port(pm::Reg::PM_TMR);
  acpi.pm_timer_32bit = true;
  acpi.gpe0 = pm_port(pm::Reg::GPE0_STS);
  acpi.gpe0_length = 2 * pm::kGpes / 8;
  acpi.s5_sleep_type = pm::kS5SleepType;
  acpi.reset_port = dev::resetctl::kResetRegister;
  acpi.reset_value = dev::resetctl::kResetValue;
  acpi.ecam = layout::kEcam;
  acpi.mmio32 = {layout::kPciMemory, layout::kPciMemoryEnd - 1};
  acpi.mmio64 = layout::pci_memory64(platform.memory, platform.physical_address_bits);
  acpi.pci_gsi = [](unsigned device, unsigned pin) { return layout::kPciPins + pci::Root::wire(device, pin); };
  for (unsigned i = 0; i < platform.serial_ports; ++i) {
    acpi.serial.push_back({layout::kComPorts[i].port, layout::kComPorts[i].irq});
  }
  acpi.rtc_century = dev::rtc::Century;
  acpi.board_io = {{layout::kElcr, layout::kElcr + 1}, {layout::kAcpiPm, layout::kAcpiPm + pm::kPorts - 1}};
  const auto map = layout::memory_map(platform.memory);
  TRY(boot::smbios::write_tables(memory, {.version = VIREO_VERSION, .memory = platform.memory, .ranges = map},
                                 layout::kSmbios, layout::kTablesEnd));
  return boot::acpi::write_tables(memory, acpi, layout::kTables, layout::kSmbios);
}

void set_memory_types(vm::x86::SystemRegs& sys, unsigned physical_address_bits) {
  // SDM 3A 12.11.2
  constexpr u64 kEnabled = bit(11), kFixedEnabled = bit(10), kUncached = 0, kWriteBack = 6, kValid = bit(11);
  sys.mtrr_def_type = kEnabled | kFixedEnabled | kWriteBack;
  sys.mtrr_fixed.fill(kWriteBack * 0x0101010101010101);
  sys.mtrr_fixed[2] = kUncached;  // FIX16K_A0000
  sys.mtrr_variable.fill(0);
  sys.mtrr_variable[0] = layout::kLowMemoryEnd | kUncached;
  sys.mtrr_variable[1] = (bit(physical_address_bits) - (4 * kGiB - layout::kLowMemoryEnd)) | kValid;
}

void set_virtual_wire(vm::x86::ApicState& apic) {
  constexpr unsigned kSpurious = 0xF, kLint0 = 0x35, kLint1 = 0x36;  // register offset / 16 (SDM 3A table 11-1)
  apic.regs[kSpurious] = 0x1FF;                                      // enabled
  apic.regs[kLint0] = 0x700;                                         // ExtINT
  apic.regs[kLint1] = 0x400;                                         // NMI
}

}  // namespace vireo::machine::firmware
