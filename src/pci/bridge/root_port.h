// A PCI Express root port whose slot takes and gives away a function while the machine runs.
//
// Hot plug is PCI Express's own (native), not ACPI's: Linux, Windows and the BSDs drive it with what they have in the
// box, and it needs neither AML nor a register block of our own. Sources: PCI Express Base Specification, 6.7 (hot
// plug) and 7.5.3 (registers).
//
// In:   insert() raises presence and presses the attention button; the guest turns the slot's power on, and finds the
//       function.
// Out:  ask_to_remove() presses the attention button. The guest stops its driver (Linux first blinks for five seconds,
//       as the specification wants it, so that the person at the slot may change their mind), and turns power and power
//       indicator off: released(). Then remove().
//
// The guest may turn the power off and on by itself, too: the function is not there meanwhile, and comes back reset.
// That, and a release, the owner has to see to: `changed` is called, no lock held, on the vCPU's thread.
//
// Not modelled: bus master enable of the port keeps no function behind it from memory.
//
// Threads: as Function. insert() to take_power_loss(), and vm::Stateful, only while no vCPU runs.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "pci/bridge/bridge.h"
#include "pci/bridge/state.h"
#include "vm/device/device.h"

namespace vireo::pci {

class RootPort final : public Bridge, public vm::Stateful {
 public:
  struct Setup {
    std::string name;     ///< of its state
    unsigned number = 1;  ///< of the slot, as a person sees it: 1..
    vm::MsiSink& msi;     ///< these two outlive the port
    vm::IrqLine& pin;     ///< INTA
    std::function<void()> changed;
  };
  explicit RootPort(Setup setup);

  /// The slot is empty; `function` stays until remove().
  void insert(Function& function);
  /// The slot is not empty. The guest need not have let go of it (surprise removal).
  void remove();
  bool occupied() const { return function_ != nullptr; }

  /// The slot is not empty. False: the guest was asked before, and has not answered yet.
  bool ask_to_remove();
  /// The guest was asked, and needs it no more.
  bool released() const;
  bool removing() const;
  /// The function is to be reset: it had no power for a while. True once for each time.
  bool take_power_loss();

  // Bridge
  u32 config_read(u16 offset, u8 size) override;
  void config_write(u16 offset, u8 size, u32 value) override;
  std::vector<ConfigSpace::Range> decoded() const override { return {}; }
  u64 bar_read(unsigned, u64, u8) override { return ~u64{0}; }
  void bar_write(unsigned, u64, u8, u64) override {}
  u8 secondary_bus() const override;
  Function* behind(u32 device_function) const override;
  bool forwards(const ConfigSpace::Range& range) const override;

  // vm::Stateful
  void reset() override;
  vm::StateRecord save() const override;
  /// The slot must hold a function when it did.
  Result<> load(const vm::StateRecord& record) override;

 private:
  // The mutex is held.
  bool powered() const;
  u16 slot_control() const;
  void set_slot_control(u16 value);
  void show_slot();
  void raise(u16 events);
  bool write_slot(u16 offset, u8 size, u32 value);
  void update_interrupt();
  void set_power_of_empty_or_full_slot();

  const Setup setup_;
  mutable std::mutex mutex_;
  ConfigSpace config_;
  u16 express_ = 0, msi_ = 0;  ///< where the capabilities are
  Function* function_ = nullptr;
  u16 events_ = 0;
  bool removing_ = false, power_lost_ = false;
  bool interrupt_ = false;  ///< an enabled event waits
};

}  // namespace vireo::pci
