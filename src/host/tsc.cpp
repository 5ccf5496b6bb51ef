#include "host/tsc.h"

#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <ctime>

#include "base/bytes.h"
#include "host/fd.h"

namespace vireo::host {
namespace {

u64 raw_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

// A moment in both units: the clock was read somewhere within `width` ticks around `tsc`.
struct Sample {
  u64 tsc = 0, ns = 0, width = ~u64{0};
};

Sample best_sample() {
  Sample best;
  for (int i = 0; i < 64; ++i) {
    const u64 before = read_tsc();
    const u64 ns = raw_ns();
    const u64 after = read_tsc();
    if (after - before < best.width) best = {before + (after - before) / 2, ns, after - before};
  }
  return best;
}

}  // namespace

u64 tsc_khz_from_kernel() {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_DUMMY;
  attributes.exclude_kernel = attributes.exclude_hv = 1;
  attributes.disabled = 1;
  const Fd event(static_cast<int>(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)));
  if (!event) return 0;
  void* at = ::mmap(nullptr, kPageSize, PROT_READ, MAP_SHARED, event.get(), 0);
  if (at == MAP_FAILED) return 0;
  // ns = tsc * time_mult >> time_shift (include/uapi/linux/perf_event.h). The kernel may be writing: `lock` is odd or
  // moves.
  const volatile auto* page = static_cast<const perf_event_mmap_page*>(at);
  u64 khz = 0;
  for (int i = 0; i < 1000; ++i) {
    const u32 lock = page->lock;
    std::atomic_thread_fence(std::memory_order_acquire);
    const bool told = page->cap_user_time;
    const u64 mult = page->time_mult;
    const unsigned shift = page->time_shift;
    std::atomic_thread_fence(std::memory_order_acquire);
    if ((lock & 1) != 0 || page->lock != lock) continue;
    if (told && mult != 0 && shift < 64) khz = static_cast<u64>(((u128{1'000'000} << shift) + mult / 2) / mult);
    break;
  }
  ::munmap(at, kPageSize);
  return khz;
}

u64 tsc_khz_by_calibration() {
  u64 khz = 1;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const Sample first = best_sample();
    const timespec pause{0, 20'000'000};
    ::nanosleep(&pause, nullptr);
    const Sample last = best_sample();
    const u64 ticks = last.tsc - first.tsc, ns = last.ns - first.ns;
    if (ticks == 0 || ns == 0) continue;
    khz = static_cast<u64>((u128{ticks} * 1'000'000 + ns / 2) / ns);
    // Half of each bracket at either end, against 50 ppm of the distance.
    if ((first.width + last.width) / 2 < ticks / 20'000) break;
  }
  return khz == 0 ? 1 : khz;
}

u64 tsc_khz() {
  static const u64 khz = [] {
    const u64 told = tsc_khz_from_kernel();
    return told != 0 ? told : tsc_khz_by_calibration();
  }();
  return khz;
}

}  // namespace vireo::host
