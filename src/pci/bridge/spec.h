// Registers of the PCI Express and MSI capabilities. Sources: PCI Express Base Specification, 7.5.3; PCI Local Bus
// Specification 3.0, 6.8.1; PCI-to-PCI Bridge Architecture Specification 1.2, 3.2.5.
#pragma once

#include "base/types.h"

namespace vireo::pci::express {

constexpr u8 kCapabilityId = 0x10, kMsiCapabilityId = 0x05;

// Offsets in the PCI Express capability
constexpr u16 PcieCapabilities = 0x02, DeviceCapabilities = 0x04, DeviceControl = 0x08, LinkCapabilities = 0x0C,
              LinkControl = 0x10, LinkStatus = 0x12, SlotCapabilities = 0x14, SlotControl = 0x18, SlotStatus = 0x1A,
              RootControl = 0x1C, DeviceControl2 = 0x28, LinkControl2 = 0x30;
constexpr u16 kCapabilitySize = 0x3C;

constexpr u16 kVersion2 = 2, kRootPort = 4 << 4, kSlotImplemented = 1 << 8;
constexpr u32 kRoleBasedErrorReporting = 1 << 15;

namespace link {
constexpr u32 Speed2_5 = 1, Width1 = 1 << 4, ActiveReportingCapable = 1 << 20;  // Link Capabilities
constexpr unsigned kPortNumberShift = 24;
constexpr u16 CurrentSpeed2_5 = 1, NegotiatedWidth1 = 1 << 4, Active = 1 << 13;  // Link Status
}  // namespace link

namespace slot {
// Capabilities
constexpr u32 AttentionButtonPresent = 1 << 0, PowerControllerPresent = 1 << 1, AttentionIndicatorPresent = 1 << 3,
              PowerIndicatorPresent = 1 << 4, HotPlugCapable = 1 << 6;
constexpr unsigned kNumberShift = 19;
// Control
constexpr u16 AttentionButtonPressedEnable = 1 << 0, PresenceDetectChangedEnable = 1 << 3,
              CommandCompletedInterruptEnable = 1 << 4, HotPlugInterruptEnable = 1 << 5, kAttentionIndicator = 3 << 6,
              kAttentionIndicatorOff = 3 << 6, kPowerIndicator = 3 << 8, kPowerIndicatorOn = 1 << 8,
              kPowerIndicatorOff = 3 << 8, PowerOff = 1 << 10, LinkStateChangedEnable = 1 << 12,
              kControlWritable = 0x17FF;
// Status
constexpr u16 AttentionButtonPressed = 1 << 0, PresenceDetectChanged = 1 << 3, CommandCompleted = 1 << 4,
              PresenceDetectState = 1 << 6, LinkStateChanged = 1 << 8;
constexpr u16 kEvents = AttentionButtonPressed | PresenceDetectChanged | CommandCompleted | LinkStateChanged;
}  // namespace slot

namespace msi {
// Offsets in the MSI capability with 64-bit addresses
constexpr u16 Control = 0x02, Address = 0x04, UpperAddress = 0x08, Data = 0x0C;
constexpr u16 kCapabilitySize = 0x0E;
constexpr u16 Enable = 1 << 0, kAddress64 = 1 << 7;
}  // namespace msi

}  // namespace vireo::pci::express
