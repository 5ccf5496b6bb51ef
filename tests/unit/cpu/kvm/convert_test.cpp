#include "cpu/kvm/convert.h"

#include <gtest/gtest.h>

#include "vm/x86/msr.h"

namespace vireo::cpu::kvm {
namespace {

using namespace vm::x86;

TEST(KvmConvert, SegmentsSurviveTheWayThereAndBack) {
  for (u32 type = 0; type < 16; ++type) {
    const Segment segment{.selector = 0x1B, .attributes = 0xF0F0 | type, .limit = 0xFFFFFFFF, .base = 0x1234567890};
    EXPECT_EQ(from_kvm(to_kvm(segment)), segment);
  }
  const Segment null{.selector = 0, .attributes = Segment::kUnusable, .limit = 0, .base = 0};
  EXPECT_EQ(from_kvm(to_kvm(null)), null);
}

TEST(KvmConvert, AnUnusableSegmentIsNotPresentForTheKernel) {
  const Segment segment{.selector = 0, .attributes = Segment::kUnusable | 0xC093, .limit = 0xFFFFFFFF, .base = 0};
  EXPECT_EQ(to_kvm(segment).present, 0);
  EXPECT_EQ(to_kvm(segment).unusable, 1);
}

TEST(KvmConvert, GeneralRegistersKeepTheirNames) {
  GeneralRegs regs;
  for (unsigned i = 0; i < 16; ++i) regs.gpr[i] = 0x100 + i;
  regs.rip = 0x1234;
  const kvm_regs kernel = to_kvm(regs);
  EXPECT_EQ(kernel.rbx, regs.gpr[RBX]);
  EXPECT_EQ(kernel.rsp, regs.gpr[RSP]);
  EXPECT_EQ(kernel.rdi, regs.gpr[RDI]);
  GeneralRegs back;
  from_kvm(kernel, back);
  EXPECT_EQ(back.gpr, regs.gpr);
  EXPECT_EQ(back.rip, regs.rip);
}

TEST(KvmConvert, PdptesAreGivenUnderPaePagingOnly) {
  CpuState state = reset_state(true, 0);
  state.sys.pdpte = {1, 2, 3, 4};
  EXPECT_EQ(to_kvm(state).flags, 0u);
  state.sys.cr0 |= cr0::PE | cr0::PG;
  state.sys.cr4 |= cr4::PAE;
  EXPECT_EQ(to_kvm(state).flags, u64{KVM_SREGS2_FLAGS_PDPTRS_VALID});
  EXPECT_EQ(to_kvm(state).pdptrs[3], 4u);
  state.sys.efer |= efer::LMA;
  EXPECT_EQ(to_kvm(state).flags, 0u);
}

TEST(KvmConvert, TheTimersRestIsItsCountTimesItsDivisor) {
  ApicState apic = reset_state(true, 0).apic;
  apic.regs[0x38] = 1000;
  apic.regs[0x3E] = 0x2;  // by 8
  apic.timer_remaining_ns = 4000;
  ApicState back;
  from_kvm(to_kvm(apic, 0), back);
  EXPECT_EQ(back.regs[0x39], 500u);
  EXPECT_EQ(back.timer_remaining_ns, 4000u);
  apic.regs[0x3E] = 0xB;  // by 1
  apic.timer_remaining_ns = 999;
  from_kvm(to_kvm(apic, 0), back);
  EXPECT_EQ(back.timer_remaining_ns, 999u);
  apic.timer_remaining_ns = ~u64{0};  // more than it was set to cannot be left
  from_kvm(to_kvm(apic, 0), back);
  EXPECT_EQ(back.timer_remaining_ns, 1000u);
}

TEST(KvmConvert, AOneShotTimerThatHasRunOutStaysQuiet) {
  ApicState apic = reset_state(true, 0).apic;
  apic.regs[0x38] = 1000;
  ApicState back;
  from_kvm(to_kvm(apic, 0), back);
  EXPECT_EQ(back.regs[0x38], 0u) << "else the kernel would let it fire again";
  apic.timer_remaining_ns = 1;
  from_kvm(to_kvm(apic, 0), back);
  EXPECT_EQ(back.regs[0x38], 1000u);
}

TEST(KvmConvert, AnInterruptThatWasNotDeliveredGoesBackToIrr) {
  ApicState apic;
  apic.regs[0x11] = 1u << 5;  // ISR: vector 37
  EXPECT_TRUE(unaccept(apic, 37));
  EXPECT_EQ(apic.regs[0x11], 0u);
  EXPECT_EQ(apic.regs[0x21], 1u << 5);
  apic = {};
  apic.regs[0x12] = 1;  // ISR: vector 64; vector 37 came from the 8259
  EXPECT_FALSE(unaccept(apic, 37));
  EXPECT_EQ(apic.regs[0x12], 1u);
  EXPECT_EQ(apic.regs[0x21], 0u);
}

TEST(KvmConvert, EndOfInterruptTakesTheHighestInService) {
  ApicState apic;
  apic.regs[0x11] = 1u << 5;
  apic.regs[0x17] = 1u << 31;
  end_of_interrupt(apic);
  EXPECT_EQ(apic.regs[0x17], 0u);
  EXPECT_EQ(apic.regs[0x11], 1u << 5);
  end_of_interrupt(apic);
  EXPECT_EQ(apic.regs[0x11], 0u);
}

TEST(KvmConvert, EveryMsrHasAPlaceOfItsOwn) {
  CpuState state;
  const auto list = msrs_of(state);
  for (std::size_t i = 0; i < list.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NE(list[i].index, list[j].index);
      EXPECT_NE(list[i].value, list[j].value);
    }
  }
  EXPECT_EQ(list.back().index, u32{msr::IA32_TSC_DEADLINE});
}

}  // namespace
}  // namespace vireo::cpu::kvm
