// The file system device. Sources: virtio 1.2, 5.11; include/uapi/linux/fuse.h for the messages.
#pragma once

#include "base/types.h"

namespace vireo::virtio::fs {

constexpr u16 kDeviceId = 26;

/// Queues (5.11.2)
constexpr unsigned hiprio = 0, request = 1, kQueues = 2;

/// struct virtio_fs_config (5.11.4): offsets
namespace config {
constexpr u32 tag = 0, num_request_queues = 36, kSize = 40;
}
constexpr std::size_t kMaxTag = 36;

/// struct fuse_in_header and fuse_out_header
struct InHeader {
  u32 len = 0, opcode = 0;
  u64 unique = 0, nodeid = 0;
  u32 uid = 0, gid = 0, pid = 0, padding = 0;
};
static_assert(sizeof(InHeader) == 40);
struct OutHeader {
  u32 len = 0;
  i32 error = 0;
  u64 unique = 0;
};
static_assert(sizeof(OutHeader) == 16);
constexpr u32 FUSE_INIT = 26, FUSE_DESTROY = 38;
constexpr i32 kEio = -5;

}  // namespace vireo::virtio::fs
