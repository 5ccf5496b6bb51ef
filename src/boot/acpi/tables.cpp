// Every table but the DSDT. Field names and order: ACPI 6.5, 5.2; PCI Firmware Specification 3.3, 4.1.2 (MCFG).
#include <algorithm>
#include <array>
#include <numeric>

#include "base/bits.h"
#include "base/bytes.h"
#include "boot/acpi/acpi.h"

namespace vireo::boot::acpi {
namespace {

constexpr std::string_view kOemId = "VIREO ", kOemTableId = "VIREOPC ", kCreatorId = "VIRE";

void put_text(ByteWriter& out, std::string_view text) {
  out.put_bytes({reinterpret_cast<const u8*>(text.data()), text.size()});
}

u8 checksum(std::span<const u8> bytes) { return static_cast<u8>(-std::accumulate(bytes.begin(), bytes.end(), 0u)); }

/// Generic Address Structure (5.2.3.2) of I/O ports; a null one for port 0.
void put_port(ByteWriter& out, u16 port, u8 bytes, u8 access_bytes) {
  constexpr u8 kSystemIo = 1;
  const u8 access = static_cast<u8>(access_bytes == 1 ? 1 : access_bytes == 2 ? 2 : 3);
  const bool there = port != 0;
  out.put(there ? kSystemIo : u8{0});
  out.put(static_cast<u8>(there ? bytes * 8 : 0));
  out.put(u8{0});
  out.put(there ? access : u8{0});
  out.put(u64{port});
}

namespace iapc_boot_arch {
constexpr u16 LEGACY_DEVICES = 1 << 0, k8042 = 1 << 1, VGA_NOT_PRESENT = 1 << 2;
}
namespace fadt_flags {
constexpr u32 WBINVD = 1 << 0, PROC_C1 = 1 << 2, SLP_BUTTON = 1 << 5, FIX_RTC = 1 << 6, TMR_VAL_EXT = 1 << 8,
              RESET_REG_SUP = 1 << 10;
}

}  // namespace

std::vector<u8> make_table(std::string_view signature, u8 revision, const std::vector<u8>& body) {
  constexpr u32 kHeader = 36;
  ByteWriter out;
  put_text(out, signature);
  out.put(static_cast<u32>(kHeader + body.size()));
  out.put(revision);
  out.put(u8{0});  // checksum, below
  put_text(out, kOemId);
  put_text(out, kOemTableId);
  out.put(u32{1});
  put_text(out, kCreatorId);
  out.put(u32{1});
  out.put_bytes(body);
  out.bytes()[9] = checksum(out.bytes());
  return std::move(out.bytes());
}

std::vector<u8> make_rsdp(u64 xsdt) {
  ByteWriter out;
  put_text(out, "RSD PTR ");
  out.put(u8{0});
  put_text(out, kOemId);
  out.put(u8{2});   // revision
  out.put(u32{0});  // no RSDT
  out.put(u32{36});
  out.put(xsdt);
  out.put(u32{0});  // extended checksum, reserved
  out.bytes()[8] = checksum(std::span(out.bytes()).first(20));
  out.bytes()[32] = checksum(out.bytes());
  return std::move(out.bytes());
}

std::vector<u8> make_xsdt(const std::vector<u64>& tables) {
  ByteWriter out;
  for (const u64 address : tables) out.put(address);
  return make_table("XSDT", 1, out.bytes());
}

std::vector<u8> make_facs() {
  ByteWriter out;
  put_text(out, "FACS");
  out.put(u32{64});
  out.put_bytes(std::array<u8, 24>{});
  out.put(u8{2});  // version
  out.put_bytes(std::array<u8, 31>{});
  return std::move(out.bytes());
}

std::vector<u8> make_fadt(const Platform& platform, u32 facs, u32 dsdt) {
  constexpr u8 kPm1EventLength = 4, kPm1ControlLength = 2, kPmTimerLength = 4;
  constexpr u16 kNoC2 = 0x0FFF, kNoC3 = 0x0FFF;
  ByteWriter out;
  out.put(facs);
  out.put(dsdt);
  out.put_bytes(std::array<u8, 2>{});  // reserved; Preferred_PM_Profile: unspecified
  out.put(u16{platform.sci});
  out.put(u32{0});                     // SMI_CMD: always in ACPI mode
  out.put_bytes(std::array<u8, 4>{});  // ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT
  for (const u16 port :
       {platform.pm1_event, u16{0}, platform.pm1_control, u16{0}, u16{0}, platform.pm_timer, platform.gpe0, u16{0}}) {
    out.put(u32{port});  // PM1a_EVT, PM1b_EVT, PM1a_CNT, PM1b_CNT, PM2_CNT, PM_TMR, GPE0, GPE1
  }
  out.put_bytes(std::array<u8, 8>{kPm1EventLength, kPm1ControlLength, 0,
                                  platform.pm_timer != 0 ? kPmTimerLength : u8{0}, platform.gpe0_length, 0, 0, 0});
  out.put(kNoC2);
  out.put(kNoC3);
  out.put_bytes(std::array<u8, 6>{});                            // FLUSH_SIZE, FLUSH_STRIDE, DUTY_OFFSET, DUTY_WIDTH
  out.put_bytes(std::array<u8, 3>{0, 0, platform.rtc_century});  // DAY_ALRM, MON_ALRM, CENTURY
  out.put(static_cast<u16>(iapc_boot_arch::LEGACY_DEVICES | (platform.keyboard ? iapc_boot_arch::k8042 : 0) |
                           (platform.vga ? 0 : iapc_boot_arch::VGA_NOT_PRESENT)));
  out.put(u8{0});
  out.put(fadt_flags::WBINVD | fadt_flags::PROC_C1 | fadt_flags::SLP_BUTTON | fadt_flags::FIX_RTC |
          (platform.pm_timer_32bit ? fadt_flags::TMR_VAL_EXT : 0) | fadt_flags::RESET_REG_SUP);
  put_port(out, platform.reset_port, 1, 1);
  out.put(platform.reset_value);
  out.put(u16{0});  // ARM_BOOT_ARCH
  out.put(u8{5});   // minor version: 6.5
  out.put(u64{0});  // X_FIRMWARE_CTRL: the 32-bit field is used
  out.put(u64{dsdt});
  put_port(out, platform.pm1_event, kPm1EventLength, 2);
  put_port(out, 0, 0, 0);
  put_port(out, platform.pm1_control, kPm1ControlLength, 2);
  put_port(out, 0, 0, 0);
  put_port(out, 0, 0, 0);
  put_port(out, platform.pm_timer, kPmTimerLength, 4);
  put_port(out, platform.gpe0, platform.gpe0_length, 1);
  put_port(out, 0, 0, 0);
  put_port(out, 0, 0, 0);  // SLEEP_CONTROL_REG, SLEEP_STATUS_REG: hardware-reduced machines only
  put_port(out, 0, 0, 0);
  put_text(out, "VIREO\0\0\0");  // hypervisor vendor
  out.bytes().resize(276 - 36);
  return make_table("FACP", 6, out.bytes());
}

std::vector<u8> make_madt(const Platform& platform) {
  constexpr u32 PCAT_COMPAT = 1, kEnabled = 1;
  constexpr u16 kActiveHighLevel = 0x000D, kConforming = 0;
  ByteWriter out;
  out.put(platform.lapic_address);
  out.put(PCAT_COMPAT);
  for (unsigned cpu = 0; cpu < platform.cpus; ++cpu) {
    if (cpu < 255) {  // type 0: processor local APIC
      out.put_bytes(std::array<u8, 4>{0, 8, static_cast<u8>(cpu), static_cast<u8>(cpu)});
      out.put(kEnabled);
    } else {  // type 9: processor local x2APIC
      out.put_bytes(std::array<u8, 4>{9, 16, 0, 0});
      out.put(u32{cpu}), out.put(kEnabled), out.put(u32{cpu});
    }
  }
  out.put_bytes(std::array<u8, 4>{1, 12, platform.ioapic_id, 0});
  out.put(platform.ioapic_address);
  out.put(u32{0});  // first GSI
  const auto source_override = [&](u8 isa_irq, u32 gsi, u16 flags) {
    out.put_bytes(std::array<u8, 4>{2, 10, 0, isa_irq});
    out.put(gsi), out.put(flags);
  };
  source_override(0, 2, kConforming);
  source_override(platform.sci, platform.sci, kActiveHighLevel);
  out.put_bytes(std::array<u8, 6>{4, 6, 0xFF, 0, 0, 1});  // NMI at LINT1 of every processor
  return make_table("APIC", 5, out.bytes());
}

std::vector<u8> make_mcfg(const Platform& platform) {
  ByteWriter out;
  out.put(u64{0});
  out.put(platform.ecam);
  out.put(u16{0});  // segment
  out.put(u8{0});
  out.put(u8{255});
  out.put(u32{0});
  return make_table("MCFG", 1, out.bytes());
}

Result<u64> write_tables(vm::GuestMemory& memory, const Platform& platform, u64 base, u64 end) {
  constexpr u64 kAlignment = 64;  // the FACS's (5.2.10)
  u64 at = base + kAlignment;     // the RSDP comes first and last
  bool fits = true;
  const auto place = [&](const std::vector<u8>& bytes) {
    const u64 address = at;
    at = align_up(at + bytes.size(), kAlignment);
    fits = fits && at <= end && memory.write(address, bytes.data(), bytes.size());
    return address;
  };
  const u64 facs = place(make_facs());
  const u64 dsdt = place(make_dsdt(platform));
  std::vector<u64> tables = {place(make_fadt(platform, static_cast<u32>(facs), static_cast<u32>(dsdt))),
                             place(make_madt(platform)), place(make_mcfg(platform))};
  for (const auto& table : platform.more_tables) tables.push_back(place(table));
  const u64 xsdt = place(make_xsdt(tables));
  const auto rsdp = make_rsdp(xsdt);
  if (!fits || !memory.write(base, rsdp.data(), rsdp.size())) {
    return fail(ErrorKind::Failed, "the ACPI tables do not fit into {} bytes of guest memory at {:#x}", end - base,
                base);
  }
  return base;
}

}  // namespace vireo::boot::acpi
