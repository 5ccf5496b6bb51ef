// The PC's 8254 interval timer: three counters at ports 0x40..0x43, counter 0 on interrupt 0, counter 2 behind port
// 0x61.
//
// Nothing counts: each counter computes its value from guest time (counter.h). A timer runs only while OUT of counter 0
// has a rising edge to come. Edges fall on the exact grid of the input clock, so there is no drift; when the host was
// late, at most kBacklog missed edges are made up for, at double speed, and the rest is forgotten.
#pragma once

#include <memory>
#include <mutex>

#include "dev/isa/byte_device.h"
#include "dev/pit/counter.h"
#include "dev/pit/state.h"
#include "vm/clock/clock.h"

namespace vireo::dev {

class Pit final : public ByteDevice, public vm::Stateful {
 public:
  static constexpr u16 kPorts = pit::kPorts;
  static constexpr u64 kBacklog = 8;  ///< edges

  /// References outlive the device.
  Pit(vm::IrqLine& irq, vm::Clock& clock);

  /// Port 0x61, one byte: gate and output of counter 2, speaker, refresh toggle.
  vm::PortDevice& port61() { return port61_; }

  // vm::Stateful
  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 protected:
  u8 read_register(u16 offset) override;
  void write_register(u16 offset, u8 value) override;

 private:
  class Port61 final : public ByteDevice {
   public:
    explicit Port61(Pit& pit) : pit_(pit) {}

   protected:
    u8 read_register(u16 offset) override { return offset == 0 ? pit_.read_port61() : 0xFF; }
    void write_register(u16 offset, u8 value) override {
      if (offset == 0) pit_.write_port61(value);
    }

   private:
    Pit& pit_;
  };

  u8 read_port61();
  void write_port61(u8 value);
  u64 tick() const;
  void control(u8 value, u64 now);
  void restart_irq(u64 now);
  void expired();
  void arm(u64 now);

  vm::IrqLine& irq_;
  vm::Clock& clock_;
  mutable std::mutex mutex_;
  pit::State s_;
  Port61 port61_{*this};
  std::unique_ptr<vm::Timer> timer_;
};

}  // namespace vireo::dev
