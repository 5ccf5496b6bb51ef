// The PCI transport's registers. Source: virtio 1.2, 4.1 (PCI) and 2.1 (device status).
#pragma once

#include "base/types.h"

namespace vireo::virtio {

constexpr u16 kPciVendor = 0x1AF4, kPciDevice = 0x1040;  ///< plus the device ID (4.1.2)
constexpr u8 kPciRevision = 1;
constexpr u16 kPciSubsystem = 0x1100;  ///< 0x40 or greater (4.1.2.1)

/// 2.1
namespace device_status {
constexpr u8 ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, DEVICE_NEEDS_RESET = 64, FAILED = 128;
}

/// struct virtio_pci_cap (4.1.4)
namespace pci_cap {
constexpr u8 kId = 0x09;  ///< PCI_CAP_ID_VNDR
constexpr u8 CapLen = 2, CfgType = 3, Bar = 4, Offset = 8, Length = 12, NotifyOffMultiplier = 16, PciCfgData = 16;
constexpr u8 kSize = 16, kNotifySize = 20, kPciCfgSize = 20;
constexpr u8 COMMON_CFG = 1, NOTIFY_CFG = 2, ISR_CFG = 3, DEVICE_CFG = 4, PCI_CFG = 5;
}  // namespace pci_cap

/// struct virtio_pci_common_cfg (4.1.4.3): offsets.
enum class Common : u16 {
  device_feature_select = 0x00,
  device_feature = 0x04,
  driver_feature_select = 0x08,
  driver_feature = 0x0C,
  config_msix_vector = 0x10,
  num_queues = 0x12,
  device_status = 0x14,
  config_generation = 0x15,
  queue_select = 0x16,
  queue_size = 0x18,
  queue_msix_vector = 0x1A,
  queue_enable = 0x1C,
  queue_notify_off = 0x1E,
  queue_desc = 0x20,
  queue_driver = 0x28,
  queue_device = 0x30,
  queue_notify_data = 0x38,
  queue_reset = 0x3A,
};
constexpr u32 kCommonSize = 0x3C;
constexpr u16 NO_VECTOR = 0xFFFF;

/// 4.1.4.5
namespace isr {
constexpr u8 Queue = 1, DeviceConfiguration = 2;
}

/// Where the structures lie in the one BAR: our choice.
namespace window {
constexpr unsigned kBar = 0;
constexpr u32 Common = 0x0000, Isr = 0x1000, Device = 0x2000, Notify = 0x3000, MsixTable = 0x4000, MsixPending = 0x5000,
              kPart = 0x1000, kSize = 0x8000;
constexpr u32 kNotifyMultiplier = 4;
}  // namespace window
constexpr unsigned kMaxQueues = 255;  ///< what the table of messages has space for

}  // namespace vireo::virtio
