// The configuration space of one function: 256 bytes, or 4096 with PCI Express, of which a mask says what the guest may
// write.
//
// A device builds it once (identity, BARs, capabilities), passes config accesses through read() and write(), and looks
// at the result. Not locked: the device's own mutex guards it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "pci/config/spec.h"
#include "vm/state/archive.h"

namespace vireo::pci {

enum class HeaderType : u8 { Device = 0, Bridge = 1 };
enum class BarKind : u8 { Io, Memory32, Memory64, PrefetchableMemory64 };

struct Identity {
  u16 vendor = 0, device = 0;
  u32 class_code = 0;  ///< base class, sub-class, programming interface: 24 bits
  u8 revision = 0;
  u16 subsystem_vendor = 0, subsystem = 0;  ///< type 0 only
  u8 interrupt_pin = 0;                     ///< 1 = INTA .. 4 = INTD, 0: none
  bool multi_function = false;
};

class ConfigSpace {
 public:
  ConfigSpace(HeaderType type, const Identity& identity, u32 size = kConventionalSize);

  // Construction. Misuse (a BAR outside the header, a size that is no power of two, no room) is our bug and asserted.
  void add_bar(unsigned index, BarKind kind, u64 size);
  /// A capability: `body` follows the id and next bytes, `writable` (same size or empty: nothing) masks what the guest
  /// may write. Its offset.
  u16 add_capability(u8 id, std::span<const u8> body, std::span<const u8> writable = {});
  /// The same for PCI Express extended capabilities, whose header is 4 bytes.
  u16 add_extended_capability(u16 id, u8 version, std::span<const u8> body, std::span<const u8> writable = {});

  /// A register of the device's own, below the capabilities or among them where there are none: its value at reset and
  /// what the guest may write of it.
  template <class T>
  void add_register(u16 offset, T value, T writable) {
    set(offset, value);
    store(writable_.data() + offset, writable);
    remember();
  }

  // Guest accesses. Outside the space: all ones, ignored.
  u32 read(u16 offset, u8 size) const;
  void write(u16 offset, u8 size, u32 value);

  // The device's view
  template <class T>
  T get(u16 offset) const {
    return load<T>(bytes_.data() + offset);
  }
  template <class T>
  void set(u16 offset, T value) {
    store(bytes_.data() + offset, value);
  }
  bool enabled(u16 command_bit) const { return (get<u16>(reg::Command) & command_bit) != 0; }

  struct Range {
    unsigned bar = 0;
    BarKind kind = BarKind::Memory32;
    u64 base = 0, size = 0;
  };
  /// What the BARs decode now: none whose space is disabled in the command register, or that would wrap around its
  /// space.
  std::vector<Range> decoded() const;

  /// What the guest could have written returns to its value at construction.
  void reset();
  vm::StateRecord save(std::string name) const;
  /// Takes what the guest could have written; the rest stays. The identity must be the same.
  Result<> load_record(const vm::StateRecord& record);

 private:
  struct Bar {
    unsigned index;
    BarKind kind;
    u64 size;
  };
  void remember();

  std::vector<u8> bytes_, writable_, write_one_to_clear_;
  std::vector<u8> initial_;
  std::vector<Bar> bars_;
  u16 next_capability_ = reg::kFirstCapability, next_extended_ = reg::kFirstExtendedCapability;
  u16 last_capability_ = 0, last_extended_ = 0;
  unsigned bar_count_;
};

}  // namespace vireo::pci
