// Configuration space registers. Sources: PCI Local Bus Specification 3.0, chapter 6; PCI-to-PCI Bridge Architecture
// Specification 1.2, chapter 3; PCI Express Base Specification, 7.5 to 7.6.
#pragma once

#include "base/types.h"

namespace vireo::pci {

namespace reg {
constexpr u16 VendorId = 0x00, DeviceId = 0x02, Command = 0x04, Status = 0x06, RevisionId = 0x08, ClassCode = 0x09,
              CacheLineSize = 0x0C, LatencyTimer = 0x0D, HeaderType = 0x0E, BaseAddress0 = 0x10,
              CapabilitiesPointer = 0x34, InterruptLine = 0x3C, InterruptPin = 0x3D;
// Type 0
constexpr u16 SubsystemVendorId = 0x2C, SubsystemId = 0x2E, ExpansionRom = 0x30;
// Type 1
constexpr u16 PrimaryBus = 0x18, SecondaryBus = 0x19, SubordinateBus = 0x1A, SecondaryLatency = 0x1B, IoBase = 0x1C,
              IoLimit = 0x1D, SecondaryStatus = 0x1E, MemoryBase = 0x20, MemoryLimit = 0x22, PrefetchBase = 0x24,
              PrefetchLimit = 0x26, PrefetchBaseUpper = 0x28, PrefetchLimitUpper = 0x2C, IoBaseUpper = 0x30,
              IoLimitUpper = 0x32, BridgeControl = 0x3E;
// Where the lists of capabilities may lie
constexpr u16 kFirstCapability = 0x40, kFirstExtendedCapability = 0x100;
}  // namespace reg

namespace command {
constexpr u16 IoSpace = 1 << 0, MemorySpace = 1 << 1, BusMaster = 1 << 2, ParityErrorResponse = 1 << 6,
              SerrEnable = 1 << 8, InterruptDisable = 1 << 10;
constexpr u16 kWritable = IoSpace | MemorySpace | BusMaster | ParityErrorResponse | SerrEnable | InterruptDisable;
}  // namespace command

namespace status {
constexpr u16 InterruptStatus = 1 << 3, CapabilitiesList = 1 << 4;
constexpr u16 kWriteOneToClear = 0xF900;
}  // namespace status

constexpr u8 kMultiFunction = 0x80;  // in HeaderType
constexpr u32 kConventionalSize = 256, kExpressSize = 4096;
constexpr unsigned kDevices = 32, kFunctions = 8, kPins = 4;

}  // namespace vireo::pci
