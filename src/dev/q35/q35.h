// The host bridge and the LPC bridge as firmware for Intel's Q35 knows them: the registers it programs, and of those
// the effects that matter.
//
//   PCIEXBAR        where configuration space appears in memory: the machine asks ecam_base()
//   PAM0..6, SMRAM  kept, and without effect: 0xC0000..0xFFFFF always is RAM, with the end of the ROM in it at first;
//                   firmware copies itself into what it believes it has just enabled
//   PMBASE, RCBA,   kept. The power management block does not move (firmware chooses the address it has), root complex
//   PIRQx_ROUT      registers are not there, and PCI's pins reach the I/O APIC only
//   SMI_EN          reads as if system management mode had been set up already, and the registers locked: there is no
//                   SMM, and firmware that finds it so does without
//
// A machine that boots a kernel directly has none of this.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "pci/config/function.h"
#include "vm/device/device.h"

namespace vireo::dev {

/// A function of which nothing is decoded.
class ChipsetFunction : public pci::Function, public vm::Stateful {
 public:
  u32 config_read(u16 offset, u8 size) override;
  void config_write(u16 offset, u8 size, u32 value) override;
  std::vector<pci::ConfigSpace::Range> decoded() const override { return {}; }
  u64 bar_read(unsigned, u64, u8) override { return ~u64{0}; }
  void bar_write(unsigned, u64, u8, u64) override {}

  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 protected:
  ChipsetFunction(std::string name, const pci::Identity& identity);
  /// The configuration space may have changed; with the lock held.
  virtual void changed() {}

  const std::string name_;
  mutable std::mutex mutex_;
  pci::ConfigSpace config_;
};

/// 0:0.0, Intel 82G33/G31/P35/P31 (29C0).
class Q35Mch final : public ChipsetFunction {
 public:
  /// The size is always 256 MiB: smaller settings of PCIEXBAR decode it as a whole, too.
  Q35Mch();
  /// Any thread; nothing while it is turned off.
  std::optional<u64> ecam_base() const;

 private:
  void changed() override;
  std::atomic<u64> ecam_{0};  ///< 0: off
};

/// 0:1F.0, Intel ICH9 (2918).
class Ich9Lpc final : public ChipsetFunction {
 public:
  Ich9Lpc();
  /// kSmiPorts of them.
  vm::PortDevice& smi_ports() { return smi_ports_; }

 private:
  class SmiPorts final : public vm::PortDevice {
   public:
    u32 port_read(u16 offset, u8 size) override;
    void port_write(u16, u8, u32) override {}
  };
  SmiPorts smi_ports_;
};

}  // namespace vireo::dev
