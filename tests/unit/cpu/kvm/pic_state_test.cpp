// The 8259's interrupt between its acknowledgement and its delivery.
#include <gtest/gtest.h>

#include "guest.h"

namespace vireo::cpu::kvm {
namespace {

using namespace vm::x86;
using namespace std::chrono_literals;

/// Kicks the vCPU at the moment when it has taken the 8259's vector and not yet entered the guest.
class KickingPic final : public vm::MachineIo {
 public:
  explicit KickingPic(test::TinyMachine& machine) : machine_(machine) {}
  u64 mmio_read(u64 gpa, u8 size) override { return machine_.mmio_read(gpa, size); }
  void mmio_write(u64 gpa, u8 size, u64 value) override { machine_.mmio_write(gpa, size, value); }
  u32 port_read(u16 port, u8 size) override { return machine_.port_read(port, size); }
  void port_write(u16 port, u8 size, u32 value) override { machine_.port_write(port, size, value); }
  bool pic_pending() override { return machine_.pic_pending(); }
  u8 pic_acknowledge() override {
    vcpu->kick();
    return machine_.pic_acknowledge();
  }
  vm::Vcpu* vcpu = nullptr;

 private:
  test::TinyMachine& machine_;
};

/// Interrupts on, then `wait`; the handler of vector 0x20 ends the run with 0.
struct Waiting8259 {
  explicit Waiting8259(std::vector<u8> wait) {
    std::vector<u8> code{0xFB, 0x90};  // sti; nop
    code.insert(code.end(), wait.begin(), wait.end());
    const u8 handler[] = {0xB0, 0x00, 0xE6, 0xF4, 0xEB, 0xFE};
    const u32 vector = 0x7C20;
    EXPECT_TRUE(machine.load(code) && machine.memory().write(0x7C20, handler, sizeof handler) &&
                machine.memory().write(0x20 * 4, &vector, sizeof vector));
    auto made = KvmVm::create(machine.memory());
    EXPECT_TRUE(made) << made.error().message;
    kvm = std::move(*made);
    auto cpu = kvm->make_vcpu(
        {.id = 0, .memory = machine.memory(), .io = pic, .clock = machine.clock(), .cpuid = kvm->supported()});
    EXPECT_TRUE(cpu) << cpu.error().message;
    vcpu = std::move(*cpu);
    pic.vcpu = vcpu.get();
    auto state = test::TinyMachine::start_state(0);
    state.apic.regs[0xF] = 0x1FF;
    state.apic.regs[0x35] = 0x700;  // the 8259 at LINT0
    EXPECT_TRUE(vcpu->set_state(state));
  }
  /// Until the guest waits with interrupts on; then the 8259 raises its line, and the vCPU comes out of run().
  CpuState state_before_delivery() {
    auto exit = std::async(std::launch::async, [this] { return vcpu->run(); });
    EXPECT_EQ(exit.wait_for(100ms), std::future_status::timeout);
    machine.port_write(0xF5, 1, 0x20);
    kvm->pic_output(true);
    EXPECT_EQ(exit.get().reason, vm::ExitReason::Kicked);
    return vcpu->state();
  }
  test::RunResult run() {
    vm::Vcpu* vcpus[] = {vcpu.get()};
    return machine.run(vcpus, 10s);
  }

  test::TinyMachine machine;
  KickingPic pic{machine};
  std::unique_ptr<KvmVm> kvm;
  std::unique_ptr<vm::Vcpu> vcpu;
};

const std::vector<u8> kSpin = {0xEB, 0xFE}, kHalt = {0xF4, 0xEB, 0xFD};

TEST(KvmPicState, AVectorThatWasAcknowledgedIsNotLostInASave) {
  SKIP_WITHOUT_KVM();
  for (const auto& wait : {kSpin, kHalt}) {
    Waiting8259 first(wait);
    const auto state = first.state_before_delivery();
    EXPECT_FALSE(first.machine.pic_pending());
    EXPECT_TRUE(state.event.pic_accepted);
    EXPECT_EQ(state.event.pic_vector, 0x20);
    EXPECT_EQ(state.event.activity, Activity::Running);
    EXPECT_NE(state.regs.rip, 0x7C20u);
    // Restored, and in the one that was saved, it comes.
    Waiting8259 second(wait);
    ASSERT_TRUE(second.vcpu->set_state(state));
    for (auto* machine : {&first, &second}) {
      const auto result = machine->run();
      EXPECT_EQ(result.end, test::RunResult::End::Exit);
      EXPECT_EQ(result.code, 0);
    }
  }
}

TEST(KvmPicState, AVectorThatWasAcknowledgedIsForgottenInAReset) {
  SKIP_WITHOUT_KVM();
  Waiting8259 guest(kSpin);
  (void)guest.state_before_delivery();
  auto state = test::TinyMachine::start_state(0);
  state.apic.regs[0xF] = 0x1FF;
  state.apic.regs[0x35] = 0x700;
  ASSERT_TRUE(guest.vcpu->set_state(state));
  auto exit = std::async(std::launch::async, [&] { return guest.vcpu->run(); });
  EXPECT_EQ(exit.wait_for(100ms), std::future_status::timeout);
  guest.vcpu->kick();
  EXPECT_EQ(exit.get().reason, vm::ExitReason::Kicked);
  EXPECT_EQ(guest.vcpu->state().regs.rip, 0x7C02u) << "the handler did not run";
}

}  // namespace
}  // namespace vireo::cpu::kvm
