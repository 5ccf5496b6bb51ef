// The firmware configuration device. Source: QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device".
#pragma once

#include "base/types.h"

namespace vireo::dev::fwcfg {

/// Ports, from the first: selector (16 bits, little endian) and data (8 bits) at 0 and 1, DMA address (64 bits, big
/// endian) at 4.
constexpr u16 kSelector = 0, kData = 1, kDmaHigh = 4, kDmaLow = 8, kPorts = 12;

/// Selector keys.
enum Key : u16 {
  FW_CFG_SIGNATURE = 0x0000,
  FW_CFG_ID = 0x0001,
  FW_CFG_NB_CPUS = 0x0005,
  FW_CFG_MAX_CPUS = 0x000F,
  FW_CFG_FILE_DIR = 0x0019,
  FW_CFG_FILE_FIRST = 0x0020,
};
/// In a selector of the traditional interface: the item is to be written. Nothing here can be.
constexpr u16 FW_CFG_WRITE_CHANNEL = 0x4000;

/// FW_CFG_ID: the traditional interface, and DMA.
constexpr u32 FW_CFG_VERSION = 0x01, FW_CFG_VERSION_DMA = 0x02;
/// What the DMA address reads as: "QEMU CFG", big endian.
constexpr u64 FW_CFG_DMA_SIGNATURE = 0x51454D5520434647;

/// FWCfgDmaAccess: control, length, address; big endian.
constexpr u32 kDmaAccessSize = 16;
enum DmaControl : u32 {
  FW_CFG_DMA_CTL_ERROR = 0x01,
  FW_CFG_DMA_CTL_READ = 0x02,
  FW_CFG_DMA_CTL_SKIP = 0x04,
  FW_CFG_DMA_CTL_SELECT = 0x08,
  FW_CFG_DMA_CTL_WRITE = 0x10,
};

/// FWCfgFile: size, select, reserved, name; big endian.
constexpr unsigned kFileNameSize = 56, kFileEntrySize = 64;

}  // namespace vireo::dev::fwcfg
