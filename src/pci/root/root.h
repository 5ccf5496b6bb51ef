// The PCI root: bus 0 of a PCI Express hierarchy, and the ways a CPU reaches it.
//
//   ports 0xCF8/0xCFC --+                       +-- 0:0.0 host bridge
//   ECAM (MMIO) --------+--> config accesses -->+-- 0:dev.fn functions --intx(device, pin)--> 8 shared wires
//   MMIO and I/O space -----> BARs in use -----'+-- 0:dev.fn bridges --> one function on each bus behind
//
// Sources: PCI Local Bus Specification 3.0, 3.2.2.3.2 (configuration mechanism #1); PCI Express Base
// Specification, 7.2.2 (ECAM).
//
// The host bridge shows itself as Red Hat's generic PCI Express host bridge (1B36:0008). Chipset ids that firmware
// knows (Intel 29C0) promise registers (PCIEXBAR, PAM, SMRAM) that firmware would program; this one promises nothing,
// needs no driver and is known to every guest's generic host bridge support. A machine with firmware brings another.
//
// Threads: as in vm/device. The list of functions is fixed before vCPUs run; what is behind a bridge changes only while
// none runs. Functions are called with no lock held.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "pci/bridge/bridge.h"
#include "pci/config/function.h"
#include "vm/device/device.h"

namespace vireo::pci {

/// Function 0:0.0: nothing but an identity.
class HostBridge final : public Function, public vm::Stateful {
 public:
  HostBridge();
  u32 config_read(u16 offset, u8 size) override;
  void config_write(u16 offset, u8 size, u32 value) override;
  std::vector<ConfigSpace::Range> decoded() const override { return {}; }
  u64 bar_read(unsigned, u64, u8) override { return ~u64{0}; }
  void bar_write(unsigned, u64, u8, u64) override {}

  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  mutable std::mutex mutex_;
  ConfigSpace config_;
};

class Root final : public vm::Stateful {
 public:
  static constexpr unsigned kWires = 8;
  static constexpr u64 kEcamSize = 256 * kMiB;
  static constexpr u16 kConfigPorts = 8;

  /// The interrupt inputs INTx pins share; they outlive the root.
  /// `host` is function 0:0.0 instead of the generic host bridge; it outlives the root.
  explicit Root(const std::array<vm::IrqLine*, kWires>& wires, Function* host = nullptr);

  /// `function` outlives the root; each place is used once; function 0 of a device must exist for the others to be
  /// found.
  void attach(unsigned device, unsigned number, Function& function);
  void attach_bridge(unsigned device, unsigned number, Bridge& bridge);
  /// What is behind a bridge has changed.
  void rescan() { update_routes(); }
  /// The wire of a pin (0 = INTA) of a device on bus 0: also what _PRT tells.
  static constexpr unsigned wire(unsigned device, unsigned pin) { return (device + pin) % kWires; }
  /// An input to that wire (they are wired OR). Before vCPUs run; lives as long as the root.
  vm::IrqLine& intx(unsigned device, unsigned pin);

  /// Ports 0xCF8..0xCFF.
  vm::PortDevice& config_ports() { return config_ports_; }
  /// kEcamSize bytes.
  vm::MmioDevice& ecam() { return ecam_; }

  // Memory and I/O space, by absolute address: whichever BAR claims it, else all ones. Sizes 1..8, and 1, 2 or 4.
  u64 memory_read(u64 address, u8 size);
  void memory_write(u64 address, u8 size, u64 value);
  u32 io_read(u16 port, u8 size);
  void io_write(u16 port, u8 size, u32 value);

  HostBridge& host_bridge() { return host_bridge_; }

  // vm::Stateful: CONFIG_ADDRESS and the levels of the wires. Load the functions first.
  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  class ConfigPorts final : public vm::PortDevice {
   public:
    explicit ConfigPorts(Root& root) : root_(root) {}
    u32 port_read(u16 offset, u8 size) override;
    void port_write(u16 offset, u8 size, u32 value) override;

   private:
    Root& root_;
  };
  class Ecam final : public vm::MmioDevice {
   public:
    explicit Ecam(Root& root) : root_(root) {}
    u64 mmio_read(u64 offset, u8 size) override;
    void mmio_write(u64 offset, u8 size, u64 value) override;

   private:
    Root& root_;
  };
  class Input final : public vm::IrqLine {
   public:
    Input(Root& root, unsigned wire) : root_(root), wire_(wire) {}
    void set(bool level) override;

   private:
    friend class Root;
    Root& root_;
    const unsigned wire_;
    bool level_ = false;
  };
  struct Route {
    ConfigSpace::Range range;
    Function* function = nullptr;
  };

  Function* find(u32 bus, u32 device_function) const;
  u32 config_read(u32 bus, u32 device_function, u16 offset, u8 size);
  void config_write(u32 bus, u32 device_function, u16 offset, u8 size, u32 value);
  void update_routes();
  std::optional<Route> route(bool io, u64 address, u8 size) const;
  void drive(unsigned wire);

  std::array<Function*, kDevices * kFunctions> functions_{};
  std::vector<Bridge*> bridges_;  ///< among them
  std::atomic<u32> config_address_{0};
  mutable std::shared_mutex routes_mutex_;
  std::vector<Route> routes_;
  mutable std::mutex wires_mutex_;
  std::array<vm::IrqLine*, kWires> wires_;
  std::deque<Input> inputs_;  ///< a deque never moves its elements

  ConfigPorts config_ports_{*this};
  Ecam ecam_{*this};
  HostBridge host_bridge_;
};

}  // namespace vireo::pci
