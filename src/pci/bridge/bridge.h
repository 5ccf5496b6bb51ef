// A function with a bus behind it, as pci/root sees it.
#pragma once

#include "pci/config/function.h"

namespace vireo::pci {

/// Threads: as Function. What is behind changes only while no vCPU runs, or by a config_write to the bridge.
class Bridge : public Function {
 public:
  /// The number of the bus behind it, as the guest gave it; 0: none yet.
  virtual u8 secondary_bus() const = 0;
  /// Who answers there; nullptr: nobody. Device 0 is the only one behind a PCI Express link.
  virtual Function* behind(u32 device_function) const = 0;
  /// An access to `range` is passed on to the bus behind.
  virtual bool forwards(const ConfigSpace::Range& range) const = 0;
};

}  // namespace vireo::pci
