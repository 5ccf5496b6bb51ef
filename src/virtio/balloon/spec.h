// The memory balloon. Source: virtio 1.2, 5.5.
#pragma once

#include "base/types.h"

namespace vireo::virtio::balloon {

constexpr u16 kDeviceId = 5;
constexpr u64 kPage = 4096;  ///< the unit of page numbers, whatever the guest's pages are (5.5.6)

/// Feature bits (5.5.3)
constexpr u64 STATS_VQ = 1 << 1, DEFLATE_ON_OOM = 1 << 2, PAGE_POISON = 1 << 4, PAGE_REPORTING = 1 << 5;

/// Queues (5.5.2)
constexpr unsigned inflateq = 0, deflateq = 1, statsq = 2, reporting_vq = 4, kQueues = 5;

/// struct virtio_balloon_config (5.5.4): offsets
namespace config {
constexpr u32 num_pages = 0, actual = 4, free_page_hint_cmd_id = 8, poison_val = 12, kSize = 16;
}

/// struct virtio_balloon_stat (5.5.6.3): a 16-bit tag and a 64-bit value, packed
constexpr u64 kStatSize = 10;
constexpr u16 S_SWAP_IN = 0, S_SWAP_OUT = 1, S_MAJFLT = 2, S_MINFLT = 3, S_MEMFREE = 4, S_MEMTOT = 5, S_AVAIL = 6,
              S_CACHES = 7, S_HTLB_PGALLOC = 8, S_HTLB_PGFAIL = 9, kStats = 10;

}  // namespace vireo::virtio::balloon
