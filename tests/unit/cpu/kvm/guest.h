// A real-mode guest on one KVM vCPU, for the tests of the run loop. Skips where there is no KVM.
#pragma once

#include <gtest/gtest.h>

#include <future>

#include "cpu/kvm/kvm.h"
#include "support/tiny_machine.h"

#define SKIP_WITHOUT_KVM() \
  if (const auto support = vireo::cpu::kvm::probe(); !support.usable) GTEST_SKIP() << support.reason

namespace vireo::cpu::kvm {

/// A clock that stands still when told to.
class StoppableClock final : public vm::Clock {
 public:
  u64 now_ns() const override { return clock_.ns_at_tsc(tsc()); }
  u64 tsc() const override { return stopped_at_ != 0 ? stopped_at_ : clock_.tsc() - lost_; }
  u64 tsc_khz() const override { return clock_.tsc_khz(); }
  vm::TscScale tsc_scale() const override {
    auto scale = clock_.tsc_scale();
    scale.guest_base -= lost_;
    return scale;
  }
  u64 tsc_at_ns(u64 ns) const override { return clock_.tsc_at_ns(ns); }
  u64 ns_at_tsc(u64 tsc) const override { return clock_.ns_at_tsc(tsc); }
  u64 wall_ns() const override { return clock_.wall_ns(); }
  std::unique_ptr<vm::Timer> make_timer(std::function<void()> expired) override {
    return clock_.make_timer(std::move(expired));
  }

  void stop() { stopped_at_ = tsc(); }
  void resume() {
    lost_ = clock_.tsc() - stopped_at_;
    stopped_at_ = 0;
  }

 private:
  test::TestClock clock_;
  u64 stopped_at_ = 0, lost_ = 0;
};

class Guest {
 public:
  /// `code` goes to 0x7C00 and runs there in real mode. Call start() next.
  explicit Guest(std::vector<u8> code) { EXPECT_TRUE(machine_.load(code)); }

  void start(FinishInstruction finish = {}) {
    auto kvm = KvmVm::create(machine_.memory());
    ASSERT_TRUE(kvm) << kvm.error().message;
    kvm_ = std::move(*kvm);
    machine_.set_pic_changed([this] { kvm_->pic_output(machine_.pic_pending()); });
    machine_.set_msi_sink(kvm_.get());
    auto vcpu = kvm_->make_vcpu(
        {.id = 0, .memory = machine_.memory(), .io = machine_, .clock = clock_, .cpuid = kvm_->supported()},
        std::move(finish));
    ASSERT_TRUE(vcpu) << vcpu.error().message;
    vcpu_ = std::move(*vcpu);
    set_state(test::TinyMachine::start_state(0));
  }
  void set_state(const vm::x86::CpuState& state) {
    const auto done = vcpu_->set_state(state);
    ASSERT_TRUE(done) << done.error().message;
  }
  test::RunResult run(std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
    vm::Vcpu* vcpus[] = {vcpu_.get()};
    return machine_.run(vcpus, timeout);
  }
  /// Runs on a thread of its own, to be kicked.
  std::future<vm::Exit> run_alone() {
    return std::async(std::launch::async, [this] { return vcpu_->run(); });
  }

  test::TinyMachine& machine() { return machine_; }
  StoppableClock& clock() { return clock_; }
  vm::Vcpu& vcpu() { return *vcpu_; }
  KvmVm& kvm() { return *kvm_; }

 private:
  test::TinyMachine machine_;
  StoppableClock clock_;
  std::unique_ptr<KvmVm> kvm_;
  std::unique_ptr<vm::Vcpu> vcpu_;
};

}  // namespace vireo::cpu::kvm
