// The pages of kvmclock, as the guest reads them. Source: Linux Documentation/virt/kvm/x86/msr.rst
// (MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW).
#pragma once

#include <type_traits>

#include "base/types.h"

namespace vireo::irq {

struct PvclockWallClock {
  u32 version = 0;  ///< odd while it is being written
  u32 sec = 0, nsec = 0;
};
static_assert(sizeof(PvclockWallClock) == 12);

/// Guest time = system_time + ((tsc - tsc_timestamp) << tsc_shift, or >> -tsc_shift) * tsc_to_system_mul >> 32.
struct PvclockVcpuTimeInfo {
  u32 version = 0;
  u32 pad0 = 0;
  u64 tsc_timestamp = 0;
  u64 system_time = 0;
  u32 tsc_to_system_mul = 0;
  i8 tsc_shift = 0;
  u8 flags = 0;
  u8 pad[2] = {};
};
static_assert(sizeof(PvclockVcpuTimeInfo) == 32 && std::is_trivially_copyable_v<PvclockVcpuTimeInfo>);
/// Readings of different vCPUs may be compared.
constexpr u8 kPvclockTscStable = 1;

struct PvclockScale {
  u32 mul = 0;  ///< top bit set
  i8 shift = 0;
};
/// `tsc_khz` is not 0.
constexpr PvclockScale pvclock_scale(u64 tsc_khz) {
  // mul * 2^shift / 2^32 = 10^6 / khz, with the largest mul below 2^32.
  u128 mul = (u128{1'000'000} << 64) / tsc_khz;
  int shift = -32;
  while (mul >= u128{1} << 32) {
    mul >>= 1;
    ++shift;
  }
  return {.mul = static_cast<u32>(mul), .shift = static_cast<i8>(shift)};
}

}  // namespace vireo::irq
