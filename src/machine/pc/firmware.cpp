#include "machine/pc/firmware.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/acpi/acpi.h"
#include "boot/smbios/smbios.h"
#include "dev/acpipm/spec.h"
#include "dev/resetctl/spec.h"
#include "dev/rtc/spec.h"
#include "machine/pc/layout.h"
#include "pci/root/root.h"

namespace vireo::machine::firmware {

namespace {

namespace pm = dev::acpipm;

constexpr u64 kTablesMultiple = 16 * kKiB;

// Registers of the local APIC: offset / 16 (SDM 3A table 11-1)
constexpr unsigned kSpurious = 0xF, kLint0 = 0x35, kLint1 = 0x36;
constexpr u32 kExtInt = 0x700;

boot::acpi::Platform describe(const Platform& platform) {
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
  acpi.mmio32 = {{layout::kPciMemory, layout::kPciMemoryEnd - 1}};
  acpi.mmio64 = layout::pci_memory64(platform.memory, platform.physical_address_bits, platform.rom);
  acpi.pci_gsi = [](unsigned device, unsigned pin) { return layout::kPciPins + pci::Root::wire(device, pin); };
  for (unsigned i = 0; i < platform.serial_ports; ++i) {
    acpi.serial.push_back({layout::kComPorts[i].port, layout::kComPorts[i].irq});
  }
  acpi.rtc_century = dev::rtc::Century;
  acpi.board_io = {{layout::kElcr, layout::kElcr + 1}, {layout::kAcpiPm, layout::kAcpiPm + pm::kPorts - 1}};
  return acpi;
}

/// The tables with configuration space at `ecam`; BARs may be wherever there is room around it.
boot::acpi::LoaderFiles loader_files(const Platform& platform, u64 ecam) {
  auto acpi = describe(platform);
  acpi.ecam = ecam;
  const u64 low = layout::kFirmwareLowMemoryEnd, end = layout::kFirmwarePciMemoryEnd;
  const u64 ecam_end = ecam + pci::Root::kEcamSize;
  acpi.mmio32.clear();
  if (ecam >= end || ecam_end <= low) acpi.mmio32.push_back({low, end - 1});
  if (ecam > low && ecam < end) acpi.mmio32.push_back({low, ecam - 1});
  if (ecam_end > low && ecam_end < end) acpi.mmio32.push_back({ecam_end, end - 1});
  auto files = boot::acpi::make_loader_files(acpi);
  // Where configuration space is decides how many windows there are, but not how large the file is.
  files.tables.resize(align_up(files.tables.size() + kPageSize, kTablesMultiple));
  return files;
}

}  // namespace

Result<u64> write_tables(vm::GuestMemory& memory, const Platform& platform) {
  const auto map = layout::memory_map(platform.memory);
  TRY(boot::smbios::write_tables(memory, {.version = VIREO_VERSION, .memory = platform.memory, .ranges = map},
                                 layout::kSmbios, layout::kTablesEnd));
  return boot::acpi::write_tables(memory, describe(platform), layout::kTables, layout::kSmbios);
}

void fill(dev::FwCfg& fw_cfg, const Platform& platform, const FirmwareBoot& boot, std::function<u64()> ecam) {
  namespace cfg = dev::fwcfg;
  const u16 cpus = static_cast<u16>(platform.cpus);
  fw_cfg.add(cfg::FW_CFG_NB_CPUS, cpus);
  fw_cfg.add(cfg::FW_CFG_MAX_CPUS, cpus);
  fw_cfg.add_file("etc/max-cpus", u64{cpus});

  const auto map = layout::ram_map(platform.memory);
  ByteWriter e820;
  for (const auto& range : map) {
    e820.put(range.base), e820.put(range.size), e820.put(static_cast<u32>(range.type));
  }
  fw_cfg.add_file("etc/e820", std::move(e820.bytes()));

  const auto add_tables = [&](const char* name, std::vector<u8> boot::acpi::LoaderFiles::* file) {
    const u32 size = static_cast<u32>((loader_files(platform, layout::kEcam).*file).size());
    fw_cfg.add_file(name, size, [platform, ecam, file, size] {
      auto bytes = std::move(loader_files(platform, ecam()).*file);
      bytes.resize(size);
      return bytes;
    });
  };
  add_tables("etc/acpi/tables", &boot::acpi::LoaderFiles::tables);
  add_tables("etc/acpi/rsdp", &boot::acpi::LoaderFiles::rsdp);
  add_tables("etc/table-loader", &boot::acpi::LoaderFiles::loader);

  auto smbios = boot::smbios::make_tables({.version = VIREO_VERSION, .memory = platform.memory, .ranges = map}, 0);
  fw_cfg.add_file("etc/smbios/smbios-anchor", std::move(smbios.entry_point));
  fw_cfg.add_file("etc/smbios/smbios-tables", std::move(smbios.tables));

  // The BIOS's text console, for as long as there is no screen.
  if (platform.serial_ports != 0) fw_cfg.add_file("etc/sercon-port", u64{layout::kComPorts[0].port});
  fw_cfg.add_file("etc/show-boot-menu", u64{boot.menu ? 1u : 0u});
  std::string order;
  for (const unsigned disk : boot.disks) {
    order += fmt::format("/pci@i0cf8/scsi@{:x}/disk@0,0\n", layout::kFirstDiskSlot + disk);
  }
  if (!order.empty()) {
    order.push_back(0);
    fw_cfg.add_file("bootorder", std::vector<u8>(order.begin(), order.end()));
  }
}

void load(vm::GuestMemory& memory, std::span<const u8> rom) {
  memory.write(layout::kHighMemory - rom.size(), rom.data(), rom.size());
  const auto end = rom.last(std::min<std::size_t>(rom.size(), layout::kRomCopySize));
  memory.write(kMiB - end.size(), end.data(), end.size());
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

void connect_pic(vm::x86::ApicState& apic) { apic.regs[kLint0] = kExtInt; }

void set_virtual_wire(vm::x86::ApicState& apic) {
  apic.regs[kSpurious] = 0x1FF;  // enabled
  connect_pic(apic);
  apic.regs[kLint1] = 0x400;  // NMI
}

}  // namespace vireo::machine::firmware
