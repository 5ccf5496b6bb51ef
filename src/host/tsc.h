// The host's time-stamp counter.
#pragma once

#include <x86intrin.h>

#include "base/types.h"

namespace vireo::host {

/// The counter, not read before earlier loads are done (SDM 2B, RDTSC), so that two threads agree on the order.
inline u64 read_tsc() {
  _mm_lfence();
  return __rdtsc();
}

/// Frequency in kHz, at least 1. Measured once a process, later calls cost nothing.
///
/// The kernel's own value is taken where it tells it (the user page of a perf event, which needs perf_event_paranoid <=
/// 2). Else the counter is compared with CLOCK_MONOTONIC_RAW over 20 ms: each end is the best of many readings of the
/// clock between two readings of the counter; when the smallest bracket is w ns, the error is below w / 20 ms (under 50
/// ppm for w < 1 us, usually under 5 ppm). A calibration that was disturbed more than that is repeated, a few times at
/// most.
u64 tsc_khz();

/// The two sources, for tests. The first returns 0 where the kernel does not tell.
u64 tsc_khz_from_kernel();
u64 tsc_khz_by_calibration();

}  // namespace vireo::host
