// The chips of the PC, their wires and their addresses: the one visible list of devices. It is the machine as a CPU
// reaches it outside RAM.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "chardev/api/channel.h"
#include "dev/acpipm/acpipm.h"
#include "dev/debugport/debugport.h"
#include "dev/fwcfg/fwcfg.h"
#include "dev/i8042/i8042.h"
#include "dev/pit/pit.h"
#include "dev/q35/q35.h"
#include "dev/resetctl/resetctl.h"
#include "dev/rtc/rtc.h"
#include "dev/uart16550/uart16550.h"
#include "irq/ioapic/ioapic.h"
#include "irq/pic/pic.h"
#include "machine/bus/bus.h"
#include "machine/pc/fabric.h"
#include "machine/pc/layout.h"
#include "machine/pc/ports.h"
#include "pci/root/root.h"
#include "virtio/pci/pci_device.h"
#include "vm/engine/engine.h"

namespace vireo::machine {

class Board final : public vm::MachineIo {
 public:
  struct Setup {
    vm::Clock& clock;
    vm::PowerControl& power;
    InterruptFabric& fabric;
    std::function<void(bool level)> pic_output;               ///< INTR changed: see InterruptFabric::pic_output
    std::span<chardev::ByteChannel* const> serial;            ///< COM1..COM4
    std::function<void()> ports_changed;                      ///< see Ports::Setup
    std::function<void(const std::string& id)> card_removed;  ///< the same
    vm::GuestMemory& memory;
    /// There is firmware, and the chipset it programs; where its log goes, nullptr for nowhere.
    bool firmware = false;
    chardev::ByteChannel* firmware_log = nullptr;
  };
  /// References in the set-up outlive the board.
  explicit Board(const Setup& setup);
  /// A virtio device at a place of PCI's bus 0 that is free. `name` is that of its state; `shared`: it is function 0
  /// and its slot has others. Before the machine is booted.
  void plug(layout::Place place, std::string name, std::unique_ptr<virtio::Device> device, bool shared = false);

  u64 mmio_read(u64 gpa, u8 size) override;
  void mmio_write(u64 gpa, u8 size, u64 value) override;
  u32 port_read(u16 port, u8 size) override;
  void port_write(u16 port, u8 size, u32 value) override;
  bool pic_pending() override { return pic_.pending(); }
  u8 pic_acknowledge() override { return pic_.acknowledge(); }

  /// Every chip, interrupt controllers first: a device that drives its line again when it is loaded then changes
  /// nothing.
  std::vector<vm::Stateful*> stateful();
  /// Those that work by themselves, in slots' order.
  std::deque<virtio::PciDevice>& virtio() { return virtio_; }
  void reset();
  /// What firmware would do for PCI: BARs of plugged devices get places in the 32-bit window. Left to itself Linux
  /// takes the 64-bit one, where drivers of its 32-bit kernel (6.1, PAE) do not reach them.
  void assign_bars();

  dev::AcpiPm& acpi_pm() { return acpi_pm_; }
  dev::Rtc& rtc() { return rtc_; }
  /// Only with firmware: its configuration device, and where configuration space is in memory now.
  dev::FwCfg* fw_cfg() { return firmware_ ? &firmware_->fw_cfg : nullptr; }
  std::optional<u64> ecam_base() const;

  irq::IoApic& ioapic() { return ioapic_; }
  Ports& ports() { return hot_plug_; }

 private:
  /// An ISA interrupt: to the PIC and to the I/O APIC.
  class IsaIrq final : public vm::IrqLine {
   public:
    IsaIrq(Board& board, unsigned number);
    void set(bool level) override {
      pic_.set(level);
      ioapic_.set(level);
    }

   private:
    vm::IrqLine& pic_;
    vm::IrqLine& ioapic_;
  };
  /// Ports 0xCF8..0xCFF: PCI's, but for a byte at 0xCF9, which is the reset register.
  class ConfigPorts final : public vm::PortDevice {
   public:
    explicit ConfigPorts(Board& board) : board_(board) {}
    u32 port_read(u16 offset, u8 size) override { return target(offset, size).port_read(inner(offset, size), size); }
    void port_write(u16 offset, u8 size, u32 value) override {
      target(offset, size).port_write(inner(offset, size), size, value);
    }

   private:
    static bool is_reset(u16 offset, u8 size) { return offset == 1 && size == 1; }
    static u16 inner(u16 offset, u8 size) { return is_reset(offset, size) ? u16{0} : offset; }
    vm::PortDevice& target(u16 offset, u8 size);
    Board& board_;
  };

  /// What is there for firmware alone.
  struct FirmwareChips {
    explicit FirmwareChips(vm::GuestMemory& memory, chardev::ByteChannel* log);
    dev::Q35Mch mch;
    dev::Ich9Lpc lpc;
    dev::FwCfg fw_cfg;
    std::optional<dev::DebugPort> debug;
  };

  std::array<vm::IrqLine*, pci::Root::kWires> pci_wires();
  vm::IrqLine& isa(unsigned irq) { return isa_[irq]; }
  void place();
  void place_firmware(FirmwareChips& chips);
  /// How far into the ECAM area this access is, if firmware has put that around it.
  std::optional<u64> in_moved_ecam(u64 gpa, u8 size) const;

  irq::Pic pic_;
  irq::IoApic ioapic_;
  std::deque<IsaIrq> isa_;
  dev::Pit pit_;
  dev::Rtc rtc_;
  dev::I8042 i8042_;
  dev::ResetControl reset_control_;
  dev::AcpiPm acpi_pm_;
  std::deque<dev::Uart16550> uarts_;
  std::optional<FirmwareChips> firmware_;
  pci::Root pci_;
  Ports hot_plug_;
  vm::GuestMemory& memory_;
  vm::Clock& clock_;
  vm::MsiSink& msi_;
  std::deque<virtio::PciDevice> virtio_;
  std::vector<layout::Place> virtio_places_;
  ConfigPorts config_ports_{*this};

  Bus<vm::PortDevice> ports_;
  Bus<vm::MmioDevice> mmio_;
  std::vector<vm::Stateful*> stateful_;  ///< what is always there, but for PCI
};

}  // namespace vireo::machine
