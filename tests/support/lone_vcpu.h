// What a software engine's vCPU needs around it, for tests that need none of it: no time, no interrupts, no
// paravirtualisation.
#pragma once

#include "vm/engine/engine.h"

namespace vireo::test {

class NoTimer final : public vm::Timer {
  void arm(u64) override {}
  void cancel() override {}
};

class StandingClock final : public vm::Clock {
 public:
  u64 now_ns() const override { return 0; }
  u64 tsc() const override { return 0; }
  u64 tsc_khz() const override { return 1'000'000; }
  vm::TscScale tsc_scale() const override { return {}; }
  u64 tsc_at_ns(u64 ns) const override { return ns; }
  u64 ns_at_tsc(u64 tsc) const override { return tsc; }
  u64 wall_ns() const override { return 0; }
  std::unique_ptr<vm::Timer> make_timer(std::function<void()>) override { return std::make_unique<NoTimer>(); }
};

class NoIo final : public vm::MachineIo {
 public:
  u64 mmio_read(u64, u8) override { return 0; }
  void mmio_write(u64, u8, u64) override {}
  u32 port_read(u16, u8) override { return 0; }
  void port_write(u16, u8, u32) override {}
  bool pic_pending() override { return false; }
  u8 pic_acknowledge() override { return 0; }
};

class NoApic final : public vm::LocalApic {
 public:
  void set_wake(std::function<void()>) override {}
  Signals take_signals() override { return {}; }
  std::optional<u8> pending_vector() override { return {}; }
  void accept(u8) override {}
  bool accepts_pic() const override { return false; }
  u32 mmio_read(u32) override { return 0; }
  void mmio_write(u32, u32) override {}
  std::optional<u64> mmio_page() const override { return {}; }
  bool read_msr(u32, u64&) override { return false; }
  bool write_msr(u32, u64) override { return false; }
  u8 cr8() const override { return 0; }
  void set_cr8(u8) override {}
  void init() override {}
  vm::x86::ApicState state() override { return {}; }
  void set_state(const vm::x86::ApicState&) override {}
};

class NoParavirt final : public vm::KvmParavirt {
 public:
  bool read_msr(u32, u64&) override { return false; }
  bool write_msr(u32, u64) override { return false; }
  u64 hypercall(u64, u64, u64, u64, u64) override { return 0; }
  void sleeps() override {}
  bool woke() override { return false; }
  void collect_eoi() override {}
  void offer_eoi(u8) override {}
  bool take_unhalt() override { return false; }
  vm::x86::ParavirtState state() override { return {}; }
  void set_state(const vm::x86::ParavirtState&) override {}
};

}  // namespace vireo::test
