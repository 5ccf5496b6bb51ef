// Virtqueues as they lie in memory. Source: virtio 1.2, 2.7 (split) and 2.8 (packed), 6 (feature bits).
#pragma once

#include "base/types.h"

namespace vireo::virtio {

/// Feature bits that are no device's own (6).
namespace feature {
constexpr u64 INDIRECT_DESC = u64{1} << 28, EVENT_IDX = u64{1} << 29, VERSION_1 = u64{1} << 32,
              RING_PACKED = u64{1} << 34, RING_RESET = u64{1} << 40;
}

/// A descriptor of either kind of ring, 16 bytes; the two differ in the order of the last 4 bytes.
struct Descriptor {
  u64 addr = 0;
  u32 len = 0;
  u16 flags = 0;
  u16 next_or_id = 0;  ///< split: next; packed: id
};
constexpr u64 kDescriptorSize = 16;
constexpr u64 kDescriptorLen = 8;  ///< offset, in both

namespace desc {
constexpr u16 NEXT = 1, WRITE = 2, INDIRECT = 4;
constexpr u16 AVAIL = 1 << 7, USED = 1 << 15;  // packed
}  // namespace desc

namespace split {
// Descriptor: addr, len, flags, next
constexpr u64 DescFlags = 12, DescNext = 14;
// virtq_avail: flags, idx, ring[size], used_event. virtq_used: flags, idx, ring[size] of {id, len}, avail_event.
constexpr u64 Flags = 0, Idx = 2, RingStart = 4;
constexpr u64 kUsedElement = 8;
constexpr u16 AVAIL_F_NO_INTERRUPT = 1, USED_F_NO_NOTIFY = 1;
constexpr u64 kDescriptorAlign = 16, kAvailAlign = 2, kUsedAlign = 4;
}  // namespace split

namespace packed {
// Descriptor: addr, len, id, flags
constexpr u64 DescId = 12, DescFlags = 14;
// Event suppression structure: offset and wrap counter, flags
constexpr u64 EventOffWrap = 0, EventFlags = 2, kEventSize = 4;
constexpr u16 RING_EVENT_FLAGS_ENABLE = 0, RING_EVENT_FLAGS_DISABLE = 1, RING_EVENT_FLAGS_DESC = 2;
constexpr u16 kWrapBit = 1 << 15;
constexpr u64 kDescriptorAlign = 16, kEventAlign = 4;
}  // namespace packed

/// The largest queue a driver may ask for (2.6); devices offer less.
constexpr u16 kMaxQueueSize = 32768;
/// The longest chain that is taken, in descriptors of an indirect table.
constexpr u32 kMaxIndirect = 1024;

}  // namespace vireo::virtio
