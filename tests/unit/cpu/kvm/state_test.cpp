// The whole state, in and out; time.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "cpu/kvm/vcpu.h"
#include "guest.h"

namespace vireo::cpu::kvm {
namespace {

using namespace vm::x86;
using namespace std::chrono_literals;

/// A state in 64-bit mode with a value of its own in everything that any KVM keeps.
CpuState long_mode_state() {
  CpuState state = reset_state(true, 0);
  for (unsigned i = 0; i < 16; ++i) state.regs.gpr[i] = u64{0x1111111111111111} * i + 7;
  state.regs.rip = 0x123456;
  state.regs.rflags = rflags::Fixed1 | rflags::CF | rflags::DF;
  auto& sys = state.sys;
  const Segment code{.selector = 0x08, .attributes = 0xA09B, .limit = 0xFFFFFFFF, .base = 0};
  const Segment data{.selector = 0x10, .attributes = 0xC093, .limit = 0xFFFFFFFF, .base = 0};
  sys.segment[CS] = code;
  for (auto seg : {SS, DS, ES, FS, GS}) sys.segment[seg] = data;
  sys.segment[FS].base = 0x7F0012345000;
  sys.segment[GS].base = 0xFFFF888012345000;
  sys.segment[TR] = {.selector = 0x80, .attributes = 0x8B, .limit = 103, .base = 0x5000};
  sys.segment[LDTR] = {.selector = 0x70, .attributes = 0x82, .limit = 0x7F, .base = 0x6000};
  sys.gdtr = {.base = 0xFFFF800000001000, .limit = 0x7F};
  sys.idtr = {.base = 0xFFFF800000002000, .limit = 0xFFF};
  sys.cr0 = cr0::PE | cr0::MP | cr0::ET | cr0::NE | cr0::WP | cr0::PG;
  sys.cr2 = 0xDEADBEEF000;
  sys.cr3 = 0x100000;
  sys.cr4 = cr4::PAE | cr4::PGE | cr4::OSFXSR | cr4::OSXMMEXCPT;
  sys.efer = efer::SCE | efer::LME | efer::LMA | efer::NXE;
  sys.dr = {0x1000, 0x2000, 0x3000, 0x4000};
  sys.dr6 = dr6::kFixed1 | dr6::BS;
  sys.star = 0x0018000800000000;
  sys.lstar = 0xFFFFFFFF81000000;
  sys.cstar = 0xFFFFFFFF81001000;
  sys.sfmask = 0x47700;
  sys.kernel_gs_base = 0xFFFF888087654000;
  sys.sysenter_cs = 0x10;
  sys.sysenter_esp = 0xFFFFC90000000000;
  sys.sysenter_eip = 0xFFFFFFFF81002000;
  sys.pat = 0x0407050600070106;
  sys.mtrr_def_type = 0xC06;
  sys.mtrr_fixed[0] = 0x0606060606060606;
  sys.mtrr_fixed[10] = 0x0505050505050505;
  sys.mtrr_variable = {0xC0000000, 0x3FFFC0000800};
  sys.tsc = 123'456'789'012;
  auto& fpu = state.fpu;
  fpu.fcw = 0x27F;
  fpu.fsw = 0x3800;
  fpu.ftw = 0x81;
  fpu.mxcsr = 0x1FA0;
  fpu.fip = 0x123456789A;
  for (unsigned i = 0; i < 8; ++i) std::memset(fpu.st[i].data(), static_cast<int>(0x40 + i), 10);
  for (unsigned i = 0; i < 16; ++i) std::memset(fpu.zmm[i].data(), static_cast<int>(0x10 + i), 16);
  auto& apic = state.apic;
  apic.regs[0x8] = 0x20;             // TPR
  apic.regs[0xD] = 0x01000000;       // LDR
  apic.regs[0xF] = 0x1FF;            // SVR: enabled
  apic.regs[0x12] = 1;               // ISR: 64
  apic.regs[0x23] = 1u << 3;         // IRR: 99
  apic.regs[0x32] = 0x10000 | 0xEC;  // timer, masked
  apic.regs[0x38] = 0x10000000;
  apic.regs[0x3E] = 0x3;
  apic.timer_remaining_ns = 3'000'000'000;
  return state;
}

TEST(KvmState, ComesBackAsItWasGiven) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xF4});
  guest.start();
  const auto given = long_mode_state();
  guest.set_state(given);
  const auto got = guest.vcpu().state();
  EXPECT_EQ(got.regs.gpr, given.regs.gpr);
  EXPECT_EQ(got.regs.rip, given.regs.rip);
  EXPECT_EQ(got.regs.rflags, given.regs.rflags);
  for (unsigned seg = 0; seg < kSegments; ++seg) EXPECT_EQ(got.sys.segment[seg], given.sys.segment[seg]) << seg;
  EXPECT_EQ(got.sys.gdtr, given.sys.gdtr);
  EXPECT_EQ(got.sys.idtr, given.sys.idtr);
  EXPECT_EQ(got.sys.cr0, given.sys.cr0);
  EXPECT_EQ(got.sys.cr2, given.sys.cr2);
  EXPECT_EQ(got.sys.cr3, given.sys.cr3);
  EXPECT_EQ(got.sys.cr4, given.sys.cr4);
  EXPECT_EQ(got.sys.efer, given.sys.efer);
  EXPECT_EQ(got.sys.xcr0, given.sys.xcr0);
  EXPECT_EQ(got.sys.dr, given.sys.dr);
  EXPECT_EQ(got.sys.dr6, given.sys.dr6);
  EXPECT_EQ(got.sys.dr7, given.sys.dr7);
  EXPECT_EQ(got.sys.star, given.sys.star);
  EXPECT_EQ(got.sys.lstar, given.sys.lstar);
  EXPECT_EQ(got.sys.cstar, given.sys.cstar);
  EXPECT_EQ(got.sys.sfmask, given.sys.sfmask);
  EXPECT_EQ(got.sys.kernel_gs_base, given.sys.kernel_gs_base);
  EXPECT_EQ(got.sys.sysenter_cs, given.sys.sysenter_cs);
  EXPECT_EQ(got.sys.sysenter_esp, given.sys.sysenter_esp);
  EXPECT_EQ(got.sys.sysenter_eip, given.sys.sysenter_eip);
  EXPECT_EQ(got.sys.pat, given.sys.pat);
  EXPECT_EQ(got.sys.mtrr_def_type, given.sys.mtrr_def_type);
  EXPECT_EQ(got.sys.mtrr_fixed, given.sys.mtrr_fixed);
  EXPECT_EQ(got.sys.mtrr_variable, given.sys.mtrr_variable);
  EXPECT_EQ(got.fpu.fcw, given.fpu.fcw);
  EXPECT_EQ(got.fpu.fsw, given.fpu.fsw);
  EXPECT_EQ(got.fpu.ftw, given.fpu.ftw);
  EXPECT_EQ(got.fpu.mxcsr, given.fpu.mxcsr);
  EXPECT_EQ(got.fpu.fip, given.fpu.fip);
  EXPECT_EQ(got.fpu.st, given.fpu.st);
  EXPECT_EQ(got.fpu.zmm, given.fpu.zmm);
  EXPECT_EQ(got.event.activity, given.event.activity);
}

TEST(KvmState, TheLocalApicComesBackToo) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xF4});
  guest.start();
  const auto given = long_mode_state();
  guest.set_state(given);
  const auto got = guest.vcpu().state();
  EXPECT_EQ(got.apic.apic_base, given.apic.apic_base);
  for (const unsigned index : {0x2u, 0x8u, 0xDu, 0xFu, 0x12u, 0x23u, 0x32u, 0x38u, 0x3Eu})
    EXPECT_EQ(got.apic.regs[index], given.apic.regs[index]) << index;
  EXPECT_LE(got.apic.timer_remaining_ns, given.apic.timer_remaining_ns);
  EXPECT_GT(got.apic.timer_remaining_ns, given.apic.timer_remaining_ns - 1'000'000'000);
}

TEST(KvmState, WhatTheCpuWaitsForComesBack) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xF4});
  guest.start();
  for (const auto activity : {Activity::Running, Activity::Halted, Activity::WaitForSipi}) {
    auto state = test::TinyMachine::start_state(0);
    state.event = {.activity = activity,
                   .interrupt_shadow = true,
                   .nmi_pending = activity == Activity::Running,
                   .nmi_blocked = true};
    guest.set_state(state);
    const auto got = guest.vcpu().state().event;
    EXPECT_EQ(got.activity, activity);
    EXPECT_EQ(got.nmi_pending, state.event.nmi_pending);
    EXPECT_TRUE(got.nmi_blocked);
    EXPECT_TRUE(got.interrupt_shadow);
  }
}

TEST(KvmState, AnImpossibleStateIsRefusedWithAMessage) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xF4});
  guest.start();
  auto state = long_mode_state();
  state.sys.efer &= ~efer::LMA;  // paging with LME, without LMA
  const auto done = guest.vcpu().set_state(state);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("system registers"), std::string::npos) << done.error().message;
}

TEST(KvmState, APendingPvEoiIsSettledBeforeTheKernelTakesOver) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xF4});
  guest.start();
  auto state = test::TinyMachine::start_state(0);
  state.apic.regs[0xF] = 0x1FF;
  state.apic.regs[0x12] = 1;
  state.paravirt.pv_eoi = 0x5000 | 1;
  state.paravirt.pv_eoi_pending = true;
  const u8 offered = 1, taken = 0;
  ASSERT_TRUE(guest.machine().memory().write(0x5000, &offered, 1));
  guest.set_state(state);
  u8 now = 0xFF;
  ASSERT_TRUE(guest.machine().memory().read(0x5000, &now, 1));
  EXPECT_EQ(now, 0) << "the guest must write EOI itself";
  EXPECT_EQ(guest.vcpu().state().apic.regs[0x12], 1u);
  ASSERT_TRUE(guest.machine().memory().write(0x5000, &taken, 1));
  guest.set_state(state);
  EXPECT_EQ(guest.vcpu().state().apic.regs[0x12], 0u) << "the guest has ended the interrupt";
}

TEST(KvmState, TheApicTimersRestStandsStillOutsideRun) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xB0, 0x00, 0xE6, 0xF4, 0xEB, 0xFE});  // mov al, 0; out 0xF4, al; jmp $
  guest.start();
  auto state = test::TinyMachine::start_state(0);
  state.apic.regs[0xF] = 0x1FF;
  state.apic.regs[0x32] = 0x50;  // one-shot
  state.apic.regs[0x38] = 0xFFFFFFFF;
  state.apic.regs[0x3E] = 0xB;
  state.apic.timer_remaining_ns = 4'000'000'000;
  guest.set_state(state);
  ASSERT_EQ(guest.run().end, test::RunResult::End::Exit);
  const u64 left = guest.vcpu().state().apic.timer_remaining_ns;
  EXPECT_LT(left, 4'000'000'000u);
  EXPECT_GT(left, 1'000'000'000u);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(guest.vcpu().state().apic.timer_remaining_ns, left);
}

TEST(KvmState, TheApicTimerStandsStillWhileTheClockDoes) {
  SKIP_WITHOUT_KVM();
  for (const u32 mode : {0u, 0x20000u}) {  // one-shot, periodic
    Guest guest({0xEB, 0xFE});             // jmp $, interrupts off
    guest.start();
    auto state = test::TinyMachine::start_state(0);
    state.apic.regs[0xF] = 0x1FF;
    state.apic.regs[0x32] = mode | 0x50;
    state.apic.regs[0x38] = 2'000'000'000;
    state.apic.regs[0x3E] = 0xB;
    state.apic.timer_remaining_ns = 1'000'000'000;
    guest.set_state(state);
    const auto run_for = [&guest](std::chrono::milliseconds time) {
      auto exit = guest.run_alone();
      EXPECT_EQ(exit.wait_for(time), std::future_status::timeout);
      guest.vcpu().kick();
      EXPECT_EQ(exit.get().reason, vm::ExitReason::Kicked);
      return guest.vcpu().state().apic;
    };
    const u64 left = run_for(50ms).timer_remaining_ns;
    EXPECT_LT(left, 1'000'000'000u);
    guest.clock().stop();
    std::this_thread::sleep_for(1100ms);
    guest.clock().resume();
    const auto later = run_for(20ms);
    EXPECT_EQ(later.regs[0x22], 0u) << "no interrupt yet";
    EXPECT_LT(later.timer_remaining_ns, left);
    EXPECT_GT(later.timer_remaining_ns, 100'000'000u) << "the pause does not count";
    EXPECT_EQ(later.regs[0x38], 2'000'000'000u);
    EXPECT_EQ(run_for(1200ms).regs[0x22], 1u << 16) << "vector 0x50 in IRR";
  }
}

TEST(KvmState, AnExpiredApicTimerIsAnInterruptThatWaits) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xEB, 0xFE});  // jmp $, interrupts off
  guest.start();
  auto state = test::TinyMachine::start_state(0);
  state.apic.regs[0xF] = 0x1FF;
  state.apic.regs[0x32] = 0x50;
  state.apic.regs[0x38] = 1000;
  state.apic.regs[0x3E] = 0xB;
  state.apic.timer_remaining_ns = 1000;
  guest.set_state(state);
  auto exit = guest.run_alone();
  EXPECT_EQ(exit.wait_for(50ms), std::future_status::timeout);
  guest.vcpu().kick();
  ASSERT_EQ(exit.wait_for(5s), std::future_status::ready);
  const auto apic = guest.vcpu().state().apic;
  EXPECT_EQ(apic.timer_remaining_ns, 0u);
  EXPECT_EQ(apic.regs[0x22], 1u << 16) << "vector 0x50 in IRR";
}

TEST(KvmState, TheTscGoesOnFromItsSavedValue) {
  SKIP_WITHOUT_KVM();
  Guest guest({0x0F, 0x31, 0x66, 0xA3, 0x00, 0x05, 0x66, 0x89, 0x16, 0x04,
               0x05,  // rdtsc; mov [0x500], eax; mov [0x504], edx
               0xB0, 0x00, 0xE6, 0xF4, 0xEB, 0xFE});
  guest.start();
  if (!static_cast<KvmVcpu&>(guest.vcpu()).controls_tsc())
    GTEST_SKIP() << "this host's KVM gives guests the host's TSC";
  auto state = test::TinyMachine::start_state(0);
  state.sys.tsc = 1'000'000'000'000'000;
  guest.set_state(state);
  ASSERT_EQ(guest.run().end, test::RunResult::End::Exit);
  u64 seen = 0;
  ASSERT_TRUE(guest.machine().memory().read(0x500, &seen, 8));
  EXPECT_GE(seen, state.sys.tsc);
  EXPECT_LT(seen, state.sys.tsc + guest.clock().tsc_khz() * 5000) << "within five seconds";
  EXPECT_GE(guest.vcpu().state().sys.tsc, seen);
}

TEST(KvmState, TheTscAndKvmclockStandStillWhileTheClockDoes) {
  SKIP_WITHOUT_KVM();
  // kvmclock's page is at 0x600. Whenever port 0xE0 has something: the TSC to [0x500], and the end of a run.
  Guest guest({
      0x66, 0xB9, 0x01, 0x4D, 0x56, 0x4B,  // mov ecx, 0x4B564D01
      0x66, 0xB8, 0x01, 0x06, 0x00, 0x00,  // mov eax, 0x601
      0x66, 0x31, 0xD2, 0x0F, 0x30,        // xor edx, edx; wrmsr
      0xE4, 0xE0, 0x84, 0xC0, 0x74, 0xFA,  // again: in al, 0xE0; test al, al; jz again
      0xB0, 0x00, 0xE6, 0xE0,              // mov al, 0; out 0xE0, al
      0x0F, 0x31, 0x66, 0xA3, 0x00, 0x05,  // rdtsc; mov [0x500], eax
      0x66, 0x89, 0x16, 0x04, 0x05,        // mov [0x504], edx
      0xB0, 0x00, 0xE6, 0xF4,              // mov al, 0; out 0xF4, al
      0xEB, 0xE5,                          // jmp again
  });
  guest.start();
  // kvmclock's page: tsc_timestamp at 8, system_time at 16, multiplier at 24, shift at 28.
  const auto look = [&guest](u64& tsc, u64& ns) {
    guest.machine().port_write(0xE0, 1, 1);
    EXPECT_EQ(guest.run().end, test::RunResult::End::Exit);
    auto& memory = guest.machine().memory();
    u64 stamp = 0, system = 0;
    u32 multiplier = 0;
    i8 shift = 0;
    EXPECT_TRUE(memory.read(0x500, &tsc, 8) && memory.read(0x608, &stamp, 8) && memory.read(0x610, &system, 8) &&
                memory.read(0x618, &multiplier, 4) && memory.read(0x61C, &shift, 1));
    const u64 delta = shift < 0 ? (tsc - stamp) >> -shift : (tsc - stamp) << shift;
    ns = system + static_cast<u64>(u128{delta} * multiplier >> 32);
  };
  u64 tsc1 = 0, ns1 = 0, tsc2 = 0, ns2 = 0;
  look(tsc1, ns1);
  guest.clock().stop();
  std::this_thread::sleep_for(1500ms);
  guest.clock().resume();
  look(tsc2, ns2);
  EXPECT_GT(tsc2, tsc1);
  if (static_cast<KvmVcpu&>(guest.vcpu()).controls_tsc()) {
    EXPECT_LT(tsc2 - tsc1, guest.clock().tsc_khz() * 1000) << "less than the second and a half of the pause";
  }
  EXPECT_GT(ns2, ns1);
  EXPECT_LT(ns2 - ns1, 1'000'000'000u);
  EXPECT_NEAR(static_cast<double>(ns2), static_cast<double>(guest.clock().now_ns()), 5e8)
      << "kvmclock is the VM's clock";
}

}  // namespace
}  // namespace vireo::cpu::kvm
