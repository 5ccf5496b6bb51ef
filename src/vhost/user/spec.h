// The vhost-user protocol. Source: QEMU's interop/vhost-user specification.
#pragma once

#include "base/types.h"

namespace vireo::vhost::user {

enum class Request : u32 {
  GET_FEATURES = 1,
  SET_FEATURES = 2,
  SET_OWNER = 3,
  SET_MEM_TABLE = 5,
  SET_VRING_NUM = 8,
  SET_VRING_ADDR = 9,
  SET_VRING_BASE = 10,
  SET_VRING_KICK = 12,
  SET_VRING_CALL = 13,
  GET_PROTOCOL_FEATURES = 15,
  SET_PROTOCOL_FEATURES = 16,
  SET_VRING_ENABLE = 18,
};

struct Header {
  u32 request = 0, flags = 0, size = 0;
};
namespace flag {
constexpr u32 Version = 1, VersionMask = 3, Reply = 4, NeedReply = 8;
}

constexpr u64 VHOST_USER_F_PROTOCOL_FEATURES = u64{1} << 30, VIRTIO_F_VERSION_1 = u64{1} << 32;
constexpr u64 PROTOCOL_F_REPLY_ACK = u64{1} << 3;

struct MemoryRegion {
  u64 guest_address = 0, size = 0, user_address = 0, mmap_offset = 0;
};
constexpr std::size_t kMaxRegions = 8;

struct VringState {
  u32 index = 0, num = 0;
};
struct VringAddress {
  u32 index = 0, flags = 0;
  u64 descriptor = 0, used = 0, available = 0, log = 0;
};

}  // namespace vireo::vhost::user
