// The MSI-X capability and its tables. Source: PCI Local Bus Specification 3.0, 6.8.2.
#pragma once

#include "base/types.h"

namespace vireo::pci::msix {

constexpr u8 kCapabilityId = 0x11;
constexpr u16 kMaxVectors = 2048;

// Offsets in the capability
constexpr u16 MessageControl = 2, TableOffset = 4, PbaOffset = 8;
constexpr u16 kBodySize = 10;  ///< of the capability, without the id and the pointer

namespace message_control {
constexpr u16 TableSize = 0x07FF, FunctionMask = 1 << 14, Enable = 1 << 15;
}

// An entry of the table
constexpr u64 kEntrySize = 16;
constexpr u64 MessageAddress = 0, MessageUpperAddress = 4, MessageData = 8, VectorControl = 12;
constexpr u32 kVectorMask = 1;

}  // namespace vireo::pci::msix
