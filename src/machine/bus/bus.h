// An address space of devices: who answers at which port or guest-physical address.
//
// Filled once, before vCPUs run, and only read afterwards: no lock. A guest may probe everything: nothing is logged.
#pragma once

#include <algorithm>
#include <cassert>
#include <iterator>
#include <vector>

#include "base/types.h"

namespace vireo::machine {

/// `Device` is vm::PortDevice or vm::MmioDevice.
template <class Device>
class Bus {
 public:
  struct Range {
    u64 base = 0, size = 0;
    Device* device = nullptr;
    bool holds(u64 address, u64 length) const { return address - base < size && length <= size - (address - base); }
  };

  /// `size` is at least 1; ranges are disjoint; `device` outlives the bus.
  void add(u64 base, u64 size, Device& device) {
    const auto at = std::ranges::upper_bound(ranges_, base, {}, &Range::base);
    assert(at == ranges_.end() || base + size <= at->base);
    assert(at == ranges_.begin() || std::prev(at)->base + std::prev(at)->size <= base);
    ranges_.insert(at, {base, size, &device});
  }

  /// The range that holds `address`, or nullptr.
  const Range* find(u64 address) const {
    const auto after = std::ranges::upper_bound(ranges_, address, {}, &Range::base);
    if (after == ranges_.begin() || !std::prev(after)->holds(address, 1)) return nullptr;
    return &*std::prev(after);
  }

  /// Some range begins inside (address, address + length).
  bool begins_within(u64 address, u64 length) const {
    const auto after = std::ranges::upper_bound(ranges_, address, {}, &Range::base);
    return after != ranges_.end() && after->base - address < length;
  }

 private:
  std::vector<Range> ranges_;  ///< sorted by base
};

}  // namespace vireo::machine
