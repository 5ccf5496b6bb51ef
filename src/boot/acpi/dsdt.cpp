// The DSDT: what cannot be discovered by probing. CPUs, the PCI root with its windows and interrupt routing, the ISA
// devices, what the board occupies, and soft-off.
#include <fmt/format.h>

#include "boot/acpi/acpi.h"
#include "boot/acpi/aml.h"

namespace vireo::boot::acpi {
namespace {

using namespace aml;

Term processors(const Platform& platform) {
  Terms devices;
  for (unsigned cpu = 0; cpu < platform.cpus; ++cpu) {
    devices.push_back(
        device(fmt::format("C{:03X}", cpu), {name("_HID", string("ACPI0007")), name("_UID", integer(cpu))}));
  }
  return join(devices);
}

Term root_resources(const Platform& platform) {
  Terms windows = {word_bus(0, 255), io(0xCF8, 8), word_io(0x0000, 0x0CF7), word_io(0x0D00, 0xFFFF),
                   dword_memory(0xA0000, 0xBFFFF)};
  for (const auto& window : platform.mmio32) {
    windows.push_back(dword_memory(static_cast<u32>(window.first), static_cast<u32>(window.last)));
  }
  if (platform.mmio64) windows.push_back(qword_memory(platform.mmio64->first, platform.mmio64->last));
  return name("_CRS", resources(windows));
}

/// _PRT (6.2.13): every pin is wired to a fixed GSI.
Term interrupt_routing(const Platform& platform) {
  constexpr unsigned kDevices = 32, kPins = 4;
  Terms entries;
  for (u32 dev = 0; dev < kDevices; ++dev) {
    for (unsigned pin = 0; pin < kPins; ++pin) {
      entries.push_back(
          package({integer(dev << 16 | 0xFFFF), integer(pin), integer(0), integer(platform.pci_gsi(dev, pin))}));
    }
  }
  return name("_PRT", package(entries));
}

/// _OSC (6.2.11; PCI Firmware Specification 3.3, 4.5.1): the system may control hot plug, PME, AER, the PCI Express
/// capability structure and LTR; there is no firmware that would.
Term operating_system_capabilities() {
  constexpr u32 kUnrecognizedUuid = 4, kUnrecognizedRevision = 8, kCapabilitiesMasked = 0x10, kGranted = 0x3D;
  const Term status = path("CDW1"), control = path("CDW3");
  const auto add_status = [&](u32 flag) { return bit_or(status, integer(flag), status); };
  return method("_OSC", 4, true,
                {create_dword_field(argument(3), 0, "CDW1"),
                 if_then(equal(argument(0), uuid("33db4d5b-1ff7-401c-9657-7441c03dd766")),
                         {create_dword_field(argument(3), 8, "CDW3"),
                          if_then(logical_not(equal(argument(1), integer(1))), {add_status(kUnrecognizedRevision)}),
                          bit_and(control, integer(kGranted), local(0)),
                          if_then(logical_not(equal(control, local(0))), {add_status(kCapabilitiesMasked)}),
                          store(local(0), control), give_back(argument(3))}),
                 add_status(kUnrecognizedUuid), give_back(argument(3))});
}

Term isa_devices(const Platform& platform) {
  Terms devices = {device("RTC", {name("_HID", eisa_id("PNP0B00")), name("_CRS", resources({io(0x70, 2), irq(8)}))})};
  unsigned number = 0;
  for (const auto& serial : platform.serial) {
    ++number;
    devices.push_back(
        device(fmt::format("COM{}", number), {name("_HID", eisa_id("PNP0501")), name("_UID", integer(number)),
                                              name("_CRS", resources({io(serial.port, 8), irq(serial.irq)}))}));
  }
  if (platform.keyboard) {
    devices.push_back(
        device("KBD", {name("_HID", eisa_id("PNP0303")), name("_CRS", resources({io(0x60, 1), io(0x64, 1), irq(1)}))}));
    devices.push_back(device("MOU", {name("_HID", eisa_id("PNP0F13")), name("_CRS", resources({irq(12)}))}));
  }
  return join(devices);
}

Term pci_root(const Platform& platform) {
  return device(
      "PCI0", {name("_HID", eisa_id("PNP0A08")), name("_CID", eisa_id("PNP0A03")), name("_UID", integer(0)),
               name("_SEG", integer(0)), name("_BBN", integer(0)), root_resources(platform),
               interrupt_routing(platform), operating_system_capabilities(), isa_devices(platform), platform.more_aml});
}

/// PNP0C02: addresses nobody else may be given. The ECAM area must be named here (PCI Firmware
/// Specification 3.3, 4.1.2).
Term board(const Platform& platform) {
  constexpr u32 kEcamSize = 256 * kMiB;
  Terms taken = {memory32_fixed(static_cast<u32>(platform.ecam), kEcamSize)};
  for (const auto& range : platform.board_io) {
    taken.push_back(io(static_cast<u16>(range.first), static_cast<u8>(range.last - range.first + 1)));
  }
  return device("BRD", {name("_HID", eisa_id("PNP0C02")), name("_CRS", resources(taken))});
}

}  // namespace

std::vector<u8> make_dsdt(const Platform& platform) {
  const Term s5 = integer(platform.s5_sleep_type);
  const Term body = join({scope("_SB", {processors(platform), pci_root(platform), board(platform)}),
                          name("_S5", package({s5, s5, integer(0), integer(0)}))});
  return make_table("DSDT", 2, body);
}

}  // namespace vireo::boot::acpi
