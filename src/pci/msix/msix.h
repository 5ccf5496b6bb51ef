// MSI-X: a table of messages in a BAR, of which the device sends the n-th when its n-th reason for an interrupt comes.
//
// A message that is masked, alone or with all others, leaves a bit in the pending bit array, and is sent when the mask
// goes. While MSI-X is off, or the function may not write to memory (bus master), nothing is sent and nothing stays
// pending: the device uses its interrupt pin.
//
// Threads: everything from any thread; guarded by its own mutex, which is taken after the device's and held while a
// message is sent.
#pragma once

#include <mutex>
#include <vector>

#include "pci/config/config_space.h"
#include "pci/msix/spec.h"
#include "vm/device/device.h"

namespace vireo::pci {

class Msix {
 public:
  struct Place {
    unsigned bar = 0;
    u32 table = 0, pending = 0;  ///< offsets in the BAR, multiples of 8
  };
  /// Adds the capability to `config`. `vectors` is 1..2048; the table takes table_size() bytes of the BAR, the pending
  /// bits pending_size(). `sink` outlives it.
  Msix(ConfigSpace& config, unsigned vectors, const Place& place, vm::MsiSink& sink);

  u64 table_size() const { return entries_.size() * msix::kEntrySize; }
  u64 pending_size() const { return (entries_.size() + 63) / 64 * 8; }
  unsigned vectors() const { return static_cast<unsigned>(entries_.size()); }

  /// After each write to the configuration space, a reset of it and a load.
  void configure(const ConfigSpace& config);
  /// Interrupts are messages now, not the pin's.
  bool enabled() const;
  /// The reason `vector` came; one that is not there is ignored.
  void notify(unsigned vector);

  // Guest accesses by offset in the table or the pending bits; what is not 4 aligned bytes, or 8 of them, reads as zero
  // and is ignored (6.8.2).
  u64 read_table(u64 offset, u8 size) const;
  void write_table(u64 offset, u8 size, u64 value);
  u64 read_pending(u64 offset, u8 size) const;

  void reset();
  struct State {
    std::vector<u32> table;   ///< four a vector
    std::vector<u8> pending;  ///< one a vector, 0 or 1
  };
  State state() const;
  bool fits(const State& state) const;
  /// A state that fits. configure() is to follow.
  void restore(const State& state);

 private:
  struct Entry {
    u32 address = 0, upper_address = 0, data = 0, control = msix::kVectorMask;
    bool pending = false;
    u32& word(u64 offset);
  };
  void set_word(u64 offset, u32 value);
  void send_pending(Entry& entry);

  const u16 control_offset_;
  vm::MsiSink& sink_;
  mutable std::mutex mutex_;
  bool enabled_ = false, may_send_ = false, all_masked_ = false;
  std::vector<Entry> entries_;
};

inline void fields(vm::Archive& ar, Msix::State& s) {
  auto& [table, pending] = s;
  ar(table, pending);
}

}  // namespace vireo::pci
