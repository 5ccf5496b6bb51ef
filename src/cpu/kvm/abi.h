// Kernel requests whose structure ends in a flexible array.
//
// In C++ the empty structure that <linux/kvm.h> puts before such an array is one byte long, so sizeof, the array's
// offset and the request numbers that are made from sizeof are all wrong (and the kernel answers EINVAL or ENOTTY). The
// numbers and headers are therefore written out here; tests/unit/cpu/kvm compares them with what a C compiler makes of
// the header.
#pragma once

#include <linux/kvm.h>

#include <vector>

#include "base/types.h"

namespace vireo::cpu::kvm::abi {

enum Request : unsigned long {
  GetMsrIndexList = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x02, 4),
  GetSupportedCpuid = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, 8),
  SetGsiRouting = _IOC(_IOC_WRITE, KVMIO, 0x6a, 8),
  GetMsrs = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x88, 8),
  SetMsrs = _IOC(_IOC_WRITE, KVMIO, 0x89, 8),
  SetSignalMask = _IOC(_IOC_WRITE, KVMIO, 0x8b, 4),
  SetCpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, 8),
  // kvm_xsave has the array too, but ends at 4096 bytes for every state component we know.
  GetXsave = _IOC(_IOC_READ, KVMIO, 0xa4, 4096),
  SetXsave = _IOC(_IOC_WRITE, KVMIO, 0xa5, 4096),
};

constexpr unsigned kXsaveSize = 4096;

/// kvm_signal_mask with the kernel's set of 64 signals behind it.
struct SignalMask {
  u32 length = 8;
  u32 signals[2]{};
};
static_assert(sizeof(SignalMask) == 12);

/// `u32 count, u32 zero` and then the entries: kvm_msrs, kvm_cpuid2 and kvm_irq_routing alike.
template <class Entry>
class Array {
 public:
  explicit Array(u32 count) : words_((kHeader + count * sizeof(Entry) + sizeof(u64) - 1) / sizeof(u64)) {
    set_count(count);
  }
  u32 count() const { return static_cast<u32>(words_[0]); }
  /// At most what it was made for.
  void set_count(u32 count) { words_[0] = count; }
  Entry* entries() { return reinterpret_cast<Entry*>(words_.data() + 1); }
  Entry& operator[](u32 index) { return entries()[index]; }
  void* data() { return words_.data(); }

 private:
  static constexpr std::size_t kHeader = 8;
  static_assert(alignof(Entry) <= alignof(u64));
  std::vector<u64> words_;
};

}  // namespace vireo::cpu::kvm::abi
