// A PCI function as the bus sees it. Devices implement this; pci/root calls it.
#pragma once

#include "pci/config/config_space.h"

namespace vireo::pci {

/// Threads: any vCPU thread; the device guards itself. Offsets and sizes are within what is stated, values are the
/// guest's.
class Function {
 public:
  virtual ~Function() = default;

  /// `offset` below 4096, `size` 1, 2 or 4, not crossing a doubleword. What is not there: all ones, ignored.
  virtual u32 config_read(u16 offset, u8 size) = 0;
  virtual void config_write(u16 offset, u8 size, u32 value) = 0;

  /// The addresses it answers to now. Asked for again after a config_write below the capabilities, with the root's
  /// table of addresses locked: a function must not reach into PCI memory or I/O space while it holds the lock this
  /// takes.
  virtual std::vector<ConfigSpace::Range> decoded() const = 0;
  /// An access in one of them; `size` is 1..8 and the access lies within the range.
  virtual u64 bar_read(unsigned bar, u64 offset, u8 size) = 0;
  virtual void bar_write(unsigned bar, u64 offset, u8 size, u64 value) = 0;
};

}  // namespace vireo::pci
