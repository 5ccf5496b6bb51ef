// The block device. Source: virtio 1.2, 5.2.
#pragma once

#include "base/types.h"

namespace vireo::virtio::blk {

constexpr u16 kDeviceId = 2;
constexpr u64 kSector = 512;  ///< of capacity and requests, whatever blk_size says

/// Feature bits (5.2.3)
constexpr u64 SEG_MAX = 1 << 2, RO = 1 << 5, BLK_SIZE = 1 << 6, FLUSH = 1 << 9, TOPOLOGY = 1 << 10,
              CONFIG_WCE = 1 << 11, MQ = 1 << 12, DISCARD = 1 << 13, WRITE_ZEROES = 1 << 14;

/// struct virtio_blk_config (5.2.4): offsets
namespace config {
constexpr u32 capacity = 0, seg_max = 12, blk_size = 20, physical_block_exp = 24, min_io_size = 26, opt_io_size = 28,
              writeback = 32, num_queues = 34, max_discard_sectors = 36, max_discard_seg = 40,
              discard_sector_alignment = 44, max_write_zeroes_sectors = 48, max_write_zeroes_seg = 52,
              write_zeroes_may_unmap = 56, kSize = 60;
}

/// struct virtio_blk_req (5.2.6): the first 16 bytes
struct Header {
  u32 type, reserved;
  u64 sector;
};
constexpr u32 T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13;
constexpr u8 S_OK = 0, S_IOERR = 1, S_UNSUPP = 2;
constexpr u64 kIdSize = 20;

/// struct virtio_blk_discard_write_zeroes
struct Segment {
  u64 sector;
  u32 num_sectors, flags;
};
constexpr u32 kUnmap = 1;

}  // namespace vireo::virtio::blk
