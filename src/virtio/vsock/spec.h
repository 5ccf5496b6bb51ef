// The socket device. Source: virtio 1.2, 5.10.
#pragma once

#include "base/types.h"

namespace vireo::virtio::vsock {

constexpr u16 kDeviceId = 19;

/// Feature bits (5.10.3)
constexpr u64 STREAM = 1 << 0;

/// Queues (5.10.2)
constexpr unsigned rx = 0, tx = 1, event = 2, kQueues = 3;

/// struct virtio_vsock_config (5.10.4): offsets
namespace config {
constexpr u32 guest_cid = 0, kSize = 8;
}
constexpr u64 kHostCid = 2;  ///< VMADDR_CID_HOST

/// struct virtio_vsock_hdr (5.10.6)
struct [[gnu::packed]] Header {
  u64 src_cid = 0, dst_cid = 0;
  u32 src_port = 0, dst_port = 0;
  u32 len = 0;
  u16 type = 0, op = 0;
  u32 flags = 0;
  u32 buf_alloc = 0, fwd_cnt = 0;
};
constexpr u64 kHeaderSize = 44;
static_assert(sizeof(Header) == kHeaderSize);

constexpr u16 TYPE_STREAM = 1;
constexpr u16 OP_REQUEST = 1, OP_RESPONSE = 2, OP_RST = 3, OP_SHUTDOWN = 4, OP_RW = 5, OP_CREDIT_UPDATE = 6,
              OP_CREDIT_REQUEST = 7;

/// Flags of OP_SHUTDOWN (5.10.6.6): what its sender will not do any more.
constexpr u32 SHUTDOWN_RECEIVE = 1, SHUTDOWN_SEND = 2, SHUTDOWN_BOTH = 3;

/// struct virtio_vsock_event (5.10.6.7)
constexpr u32 EVENT_TRANSPORT_RESET = 0;

}  // namespace vireo::virtio::vsock
