// A virtio device as a PCI function: the modern transport of virtio 1.2, 4.1.
//
//   driver --registers--> common configuration --> status, features, queues        (common_config.cpp, life.cpp)
//          --doorbell---> Device::notify, on the vCPU's thread
//          <--MSI-X or the pin-- queue and configuration interrupts                (interrupts.cpp)
//
// All structures lie in one 64-bit memory BAR, each in a page of its own. There is no legacy interface.
//
// Registers tolerate what the standard forbids drivers: a field is written whole or not at all; status bits go only by
// reset; features do not change after FEATURES_OK, nor a queue's place while it is enabled. A queue that cannot be (not
// in RAM, misaligned, no power of two) or that breaks its ring's rules makes the device ask for a reset.
//
// Threads: registers from any vCPU's thread under mutex_; doorbells and interrupts take it not. Order of locks: mutex_,
// a queue's, the device's own, the interrupts'. A driver's reset waits, with mutex_ held, until the device has let go
// of every chain. Without bus mastering the device begins nothing.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>

#include "pci/config/function.h"
#include "pci/msix/msix.h"
#include "virtio/device/device.h"
#include "virtio/pci/state.h"
#include "vm/clock/clock.h"
#include "vm/device/device.h"

namespace vireo::virtio {

class PciDevice final : public pci::Function,
                        public vm::Stateful,
                        public vm::Activity,
                        private Host,
                        private QueueOwner {
 public:
  /// References outlive the device.
  struct Setup {
    std::string name;  ///< of its state, unique in the machine
    vm::GuestMemory& memory;
    vm::Clock& clock;
    vm::MsiSink& msi;
    vm::IrqLine& pin;             ///< INTA
    bool multi_function = false;  ///< function 0 of a slot that has others
  };
  PciDevice(const Setup& setup, std::unique_ptr<Device> device);
  ~PciDevice() override;

  u32 config_read(u16 offset, u8 size) override;
  void config_write(u16 offset, u8 size, u32 value) override;
  std::vector<pci::ConfigSpace::Range> decoded() const override;
  u64 bar_read(unsigned bar, u64 offset, u8 size) override;
  void bar_write(unsigned bar, u64 offset, u8 size, u64 value) override;

  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

  void pause() override;
  void resume() override;

  /// See Device::can_save.
  Result<> can_save() const { return device_->can_save(); }
  const std::string& name() const { return name_; }
  /// What it has done since it was built.
  std::vector<Queue::Counts> counts() const;

 private:
  // Host, QueueOwner
  vm::GuestMemory& memory() override { return memory_; }
  Queue& queue(unsigned index) override { return queues_[index]; }
  void config_changed() override;
  void needs_reset() override;
  void notify_later(unsigned queue) override;
  void queue_interrupt(unsigned queue) override;
  void queue_broken(unsigned queue) override;

  // Construction
  void add_capabilities();
  void add_capability(u8 type, u32 offset, u32 length, std::span<const u8> more = {},
                      std::span<const u8> writable = {});

  // Common configuration, with mutex_ held
  u64 read_common(u64 offset, u8 size) const;
  void write_common(u64 offset, u8 size, u64 value);
  void write_queue(QueueState& queue, u64 offset, u8 size, u64 value);
  u64 offered_features() const;
  u8 status() const;
  void set_status(u8 value);
  void start();
  void enable_queue(unsigned index);
  void reset_queue(unsigned index);
  void reset_device();
  void hold_queues(bool on);
  bool attach_queue(unsigned index);
  QueueState unused_queue(unsigned index) const;
  u16 checked_vector(u64 value) const;

  // The other structures
  u64 read_device_config(u64 offset, u8 size);
  void write_device_config(u64 offset, u8 size, u64 value);
  u8 take_isr();
  void ring_doorbell(u64 offset);
  struct ConfigWindow {
    u32 offset = 0;
    u8 size = 0;  ///< 0: it is not set up
  };
  ConfigWindow config_window() const;
  bool in_config_window(u16 offset) const;

  // Interrupts
  void interrupt(u16 vector, u8 reason);
  void configure_interrupts();
  void drive_pin();

  // What is wired
  const std::string name_;
  vm::GuestMemory& memory_;
  vm::IrqLine& pin_;
  vm::Clock& clock_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<vm::Timer> later_timer_;

  // What the driver sees; mutex_ guards it
  mutable std::mutex mutex_;
  pci::ConfigSpace config_;
  u16 window_capability_ = 0;  ///< where PCI_CFG's capability is
  TransportState s_;           ///< `status`, `isr`, `config_generation` and vectors are kept below
  bool paused_ = false;

  // What other threads use as well
  pci::Msix msix_;
  std::deque<Queue> queues_;
  std::deque<std::atomic<u16>> vectors_;  ///< of the queues
  std::atomic<u16> config_vector_{NO_VECTOR};
  std::deque<std::atomic<bool>> later_;
  std::atomic<u8> status_{0}, generation_{0};
  std::atomic<bool> bus_master_{false};
  std::mutex pin_mutex_;  ///< guards what follows
  u8 isr_ = 0;
  bool pin_disabled_ = false, pin_level_ = false;
};

}  // namespace vireo::virtio
