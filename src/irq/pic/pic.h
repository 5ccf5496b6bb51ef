// The PC's pair of 8259A: the slave on input 2 of the master, INT of the master on the boot CPU's LINT0.
//
// Threads: everything from any thread. `pending` is one load. `on_intr` is called with no lock held when the output
// changed; two calls may overtake each other, so it is a hint to look at pending() (which is the truth), not a level.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <mutex>

#include "irq/pic/i8259.h"
#include "vm/device/device.h"

namespace vireo::irq {

struct PicState {
  static constexpr u16 kVersion = 1;
  std::array<I8259State, 2> chip;  ///< master, slave
};
void fields(vm::Archive& ar, PicState& s);

class Pic final : public vm::Stateful {
 public:
  static constexpr unsigned kLines = 16;

  explicit Pic(std::function<void(bool level)> on_intr);

  /// IRQ 0..15. IRQ 2 is the cascade: a line that goes nowhere.
  vm::IrqLine& line(unsigned irq) { return lines_[irq]; }

  vm::PortDevice& master_ports() { return master_ports_; }  ///< 0x20..0x21
  vm::PortDevice& slave_ports() { return slave_ports_; }    ///< 0xA0..0xA1
  vm::PortDevice& elcr_ports() { return elcr_ports_; }      ///< 0x4D0..0x4D1

  /// INTR.
  bool pending() const { return intr_.load(std::memory_order_acquire); }
  /// INTA cycles: the vector. IR7 of a chip whose request went away meanwhile (spurious).
  u8 acknowledge();

  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  static constexpr unsigned kCascade = 2;
  enum class Block : u8 { Master, Slave, Elcr };

  class Line final : public vm::IrqLine {
   public:
    void attach(Pic& pic, unsigned irq) { pic_ = &pic, irq_ = irq; }
    void set(bool level) override { pic_->set_line(irq_, level); }

   private:
    Pic* pic_ = nullptr;
    unsigned irq_ = 0;
  };

  class Ports final : public vm::PortDevice {
   public:
    Ports(Pic& pic, Block block) : pic_(pic), block_(block) {}
    u32 port_read(u16 offset, u8 size) override;
    void port_write(u16 offset, u8 size, u32 value) override;

   private:
    Pic& pic_;
    const Block block_;
  };

  void set_line(unsigned irq, bool level);
  u8 read(Block block, unsigned port);
  void write(Block block, unsigned port, u8 value);
  /// Carries the slave's output to the master and the master's to intr_. True: intr_ changed. The mutex is held.
  bool propagate();
  void notify(bool changed) {
    if (changed) on_intr_(pending());
  }

  // Glue
  const std::function<void(bool)> on_intr_;
  std::array<Line, kLines> lines_;
  Ports master_ports_{*this, Block::Master}, slave_ports_{*this, Block::Slave}, elcr_ports_{*this, Block::Elcr};

  // Guest-visible
  mutable std::mutex mutex_;
  I8259 master_{1U << kCascade, 0xF8}, slave_{0, 0xDE};
  std::atomic<bool> intr_{false};
};

}  // namespace vireo::irq
