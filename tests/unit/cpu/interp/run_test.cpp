// The run loop: what comes between instructions.
#include <gtest/gtest.h>

#include <future>

#include "cpu/interp/interp.h"
#include "cpu/x86/cpuid_model.h"
#include "support/lone_vcpu.h"
#include "support/tiny_machine.h"

namespace vireo::cpu::interp {
namespace {

using namespace vm::x86;
using namespace std::chrono_literals;

struct Runner {
  test::TinyMachine machine;
  test::NoApic apic;
  test::NoParavirt paravirt;
  std::unique_ptr<vm::Vcpu> vcpu = make_interpreter({.id = 0,
                                                     .memory = machine.memory(),
                                                     .io = machine,
                                                     .clock = machine.clock(),
                                                     .apic = &apic,
                                                     .paravirt = &paravirt,
                                                     .cpuid = x86::make_cpuid({})});

  test::RunResult run() {
    vm::Vcpu* vcpus[] = {vcpu.get()};
    return machine.run(vcpus, 10s);
  }
  template <class T>
  void poke(u64 address, T value) {
    ASSERT_TRUE(machine.memory().write(address, &value, sizeof value));
  }
};

TEST(InterpreterRun, DeliversAnInterruptThatAnotherEngineAccepted) {
  Runner runner;
  const u8 code[] = {0xB0, 0x01, 0xE6, 0xF4, 0xEB, 0xFE};     // mov al, 1; out 0xF4, al
  const u8 handler[] = {0xB0, 0x00, 0xE6, 0xF4, 0xEB, 0xFE};  // mov al, 0; out 0xF4, al
  ASSERT_TRUE(runner.machine.load(code));
  ASSERT_TRUE(runner.machine.memory().write(0x7C20, handler, sizeof handler));
  runner.poke(0x20 * 4, u32{0x7C20});
  auto state = test::TinyMachine::start_state(0);
  state.regs.rflags |= rflags::IF;
  state.event.pic_accepted = true;
  state.event.pic_vector = 0x20;
  ASSERT_TRUE(runner.vcpu->set_state(state));
  EXPECT_TRUE(runner.vcpu->state().event.pic_accepted) << "until it runs";
  const auto result = runner.run();
  EXPECT_EQ(result.end, test::RunResult::End::Exit);
  EXPECT_EQ(result.code, 0) << "the handler comes first";
  EXPECT_FALSE(runner.vcpu->state().event.pic_accepted);
}

TEST(InterpreterRun, AKickComesThroughWhenAFaultMeetsItselfForEver) {
  Runner runner;
  const u8 code[] = {0x0F, 0x0B};  // ud2
  ASSERT_TRUE(runner.machine.load(code));
  runner.poke(0x1008, u64{0x00CFFB000000FFFF});  // code for CPL 3
  runner.poke(0x1010, u64{0x00CFF3000000FFFF});  // data
  for (const unsigned vector : {6u, 17u}) runner.poke(0x2000 + vector * 8, u64{0x0000EE00000B8000});
  auto state = test::TinyMachine::start_state(0);
  auto& sys = state.sys;
  sys.cr0 = cr0::PE | cr0::ET | cr0::NE | cr0::AM;
  sys.segment[CS] = {.selector = 0x0B, .attributes = 0xC0FB, .limit = 0xFFFFFFFF, .base = 0};
  for (const Seg seg : {SS, DS, ES, FS, GS})
    sys.segment[seg] = {.selector = 0x13, .attributes = 0xC0F3, .limit = 0xFFFFFFFF, .base = 0};
  sys.gdtr = {.base = 0x1000, .limit = 0x17};
  sys.idtr = {.base = 0x2000, .limit = 0xFF};
  state.regs.rflags |= rflags::AC;
  state.regs.gpr[RSP] = 0x7003;
  ASSERT_TRUE(runner.vcpu->set_state(state));
  auto exit = std::async(std::launch::async, [&] { return runner.vcpu->run(); });
  EXPECT_EQ(exit.wait_for(50ms), std::future_status::timeout);
  runner.vcpu->kick();
  if (exit.wait_for(10s) != std::future_status::ready) {
    ADD_FAILURE() << "the vCPU does not hear the kick";
    std::_Exit(1);  // its thread will never end
  }
  EXPECT_EQ(exit.get().reason, vm::ExitReason::Kicked);
  EXPECT_EQ(runner.vcpu->state().regs.rip, test::TinyMachine::kLoadAddress);
  EXPECT_EQ(runner.vcpu->state().regs.gpr[RSP], 0x7003u);
}

}  // namespace
}  // namespace vireo::cpu::interp
