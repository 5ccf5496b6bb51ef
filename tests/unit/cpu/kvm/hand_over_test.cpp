// KVM gives up on an instruction, the interpreter executes it, KVM goes on.
#include <gtest/gtest.h>

#include "cpu/interp/interp.h"
#include "cpu/x86/cpuid_model.h"
#include "guest.h"
#include "irq/lapic/lapic.h"
#include "irq/paravirt/paravirt.h"

namespace vireo::cpu::kvm {
namespace {

using namespace vm::x86;

/// 64-bit mode at 0x7C00, the first GiB mapped one to one by the tables at 0x100000.
CpuState long_mode_state(vm::GuestMemory& memory) {
  constexpr u64 kTables = 0x100000;
  const u64 pml4 = kTables + 0x1003, pdpt = kTables + 0x2003;
  EXPECT_TRUE(memory.write(kTables, &pml4, 8) && memory.write(kTables + 0x1000, &pdpt, 8));
  for (u64 i = 0; i < 512; ++i) {
    const u64 page = i << 21 | 0x83;
    EXPECT_TRUE(memory.write(kTables + 0x2000 + i * 8, &page, 8));
  }
  auto state = test::TinyMachine::start_state(0);
  auto& sys = state.sys;
  sys.cr0 = cr0::PE | cr0::ET | cr0::NE | cr0::PG;
  sys.cr3 = kTables;
  sys.cr4 = cr4::PAE;
  sys.efer = efer::LME | efer::LMA;
  for (auto seg : {SS, DS, ES, FS, GS})
    sys.segment[seg] = {.selector = 0x10, .attributes = 0xC093, .limit = 0xFFFFFFFF, .base = 0};
  sys.segment[CS] = {.selector = 0x08, .attributes = 0xA09B, .limit = 0xFFFFFFFF, .base = 0};
  return state;
}

TEST(KvmHandOver, LockCmpxchg16bIsExecutedByTheInterpreterWhereKvmCannot) {
  SKIP_WITHOUT_KVM();
  Guest guest({
      0xF0, 0x48, 0x0F, 0xC7, 0x0F,  // lock cmpxchg16b [rdi]
      0x0F, 0x94, 0xC0,              // setz al
      0xE6, 0xF4, 0xEB, 0xFE,        // out 0xF4, al; jmp $
  });
  auto& machine = guest.machine();
  irq::ApicBus bus;
  irq::Lapic lapic(bus, guest.clock(), {.id = 0, .bootstrap_processor = true});
  irq::Paravirt paravirt({.memory = machine.memory(), .clock = guest.clock(), .bus = bus, .lapic = lapic});
  const auto interpreter = interp::make_interpreter({.id = 0,
                                                     .memory = machine.memory(),
                                                     .io = machine,
                                                     .clock = guest.clock(),
                                                     .apic = &lapic,
                                                     .paravirt = &paravirt,
                                                     .cpuid = x86::make_cpuid({})});
  guest.start([&](CpuState& state) -> vm::Exit {
    if (auto done = interpreter->set_state(state); !done) return {vm::ExitReason::Failed, done.error().message};
    auto exit = interp::step(*interpreter);
    state = interpreter->state();
    return exit;
  });
  auto state = long_mode_state(machine.memory());
  state.regs.gpr[RDI] = 0x200000;
  state.regs.gpr[RAX] = 0x1111;
  state.regs.gpr[RDX] = 0x2222;
  state.regs.gpr[RBX] = 0x3333;
  state.regs.gpr[RCX] = 0x4444;
  const u64 before[2] = {0x1111, 0x2222};
  u64 after[2] = {};
  ASSERT_TRUE(machine.memory().write(0x200000, before, sizeof(before)));
  guest.set_state(state);
  const auto result = guest.run();
  EXPECT_EQ(result.end, test::RunResult::End::Exit) << result.message;
  EXPECT_EQ(result.code, 1) << "ZF";
  ASSERT_TRUE(machine.memory().read(0x200000, after, sizeof(after)));
  EXPECT_EQ(after[0], 0x3333u);
  EXPECT_EQ(after[1], 0x4444u);
  if (guest.kvm().handed_over() == 0) GTEST_SKIP() << "this host's KVM executes it";
  EXPECT_EQ(guest.kvm().handed_over(), 1u);
}

}  // namespace
}  // namespace vireo::cpu::kvm
