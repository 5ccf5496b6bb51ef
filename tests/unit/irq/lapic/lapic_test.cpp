#include "irq/lapic/lapic.h"

#include "unit/irq/lapic/apic_fixture.h"

namespace vireo::irq {
namespace {

using apic::DeliveryMode;

struct LapicTest : ApicTest {};

TEST_F(LapicTest, ReadsAsAfterReset) {
  Lapic lapic(bus, clock, {.id = 2});
  EXPECT_EQ(lapic.mmio_read(0x20), 2U << 24);
  EXPECT_EQ(lapic.mmio_read(0x30), 0x00050014U);
  EXPECT_EQ(lapic.mmio_read(0xE0), 0xFFFFFFFFU);
  EXPECT_EQ(lapic.mmio_read(0xF0), 0xFFU);
  for (u32 lvt = 0x320; lvt <= 0x370; lvt += 0x10) EXPECT_EQ(lapic.mmio_read(lvt), 0x10000U);
  EXPECT_EQ(lapic.mmio_page(), 0xFEE00000U);
}

TEST_F(LapicTest, DeliversByPriorityAndHoldsBackLowerClasses) {
  first.post({.vector = 0x41});
  first.post({.vector = 0x52});
  EXPECT_EQ(take(first), 0x52);
  EXPECT_EQ(first.mmio_read(0xA0), 0x50U);
  EXPECT_EQ(first.pending_vector(), std::nullopt);
  first.post({.vector = 0x5F});  // same class
  EXPECT_EQ(first.pending_vector(), std::nullopt);
  first.post({.vector = 0x60});
  EXPECT_EQ(take(first), 0x60);
  first.mmio_write(0xB0, 0);
  first.mmio_write(0xB0, 0);
  EXPECT_EQ(take(first), 0x5F);
}

TEST_F(LapicTest, WakesOnceForSeveralPosts) {
  wakes = 0;
  first.post({.vector = 0x41});
  first.post({.vector = 0x42});
  EXPECT_EQ(wakes, 1U);
  EXPECT_TRUE(first.pending_vector());
  first.post({.vector = 0x43});
  EXPECT_EQ(wakes, 2U);
}

TEST_F(LapicTest, WakesWhenTheTprLetsAnInterruptThrough) {
  first.set_cr8(6);
  EXPECT_EQ(first.mmio_read(0x80), 0x60U);
  first.post({.vector = 0x55});
  EXPECT_EQ(first.pending_vector(), std::nullopt);
  wakes = 0;
  first.mmio_write(0x80, 0x40);
  EXPECT_EQ(wakes, 1U);
  EXPECT_EQ(first.cr8(), 4);
  EXPECT_EQ(first.pending_vector(), 0x55);
}

TEST_F(LapicTest, WakesWhenAnEoiLetsAnInterruptThrough) {
  first.post({.vector = 0x55});
  take(first);
  first.post({.vector = 0x51});
  EXPECT_EQ(first.pending_vector(), std::nullopt);
  wakes = 0;
  first.mmio_write(0xB0, 0);
  EXPECT_EQ(wakes, 1U);
}

TEST_F(LapicTest, BroadcastsTheEoiOfLevelsOnly) {
  first.post({.vector = 0x41});
  first.post({.vector = 0x52, .level = true});
  take(first);
  EXPECT_EQ(first.mmio_read(0x1A0), 1U << 18);  // TMR
  first.mmio_write(0xB0, 0);
  take(first);
  first.mmio_write(0xB0, 0);
  EXPECT_EQ(eois, std::vector<u8>{0x52});
}

TEST_F(LapicTest, TakesNoFixedInterruptsWhileDisabledBySoftware) {
  first.mmio_write(0x370, 0x40);
  first.mmio_write(0xF0, 0xFF);
  EXPECT_EQ(first.mmio_read(0x370), 0x10040U);
  first.mmio_write(0x370, 0x40);
  EXPECT_EQ(first.mmio_read(0x370), 0x10040U);
  first.post({.vector = 0x41});
  EXPECT_EQ(first.pending_vector(), std::nullopt);
  first.post({.mode = DeliveryMode::Nmi});
  EXPECT_TRUE(first.take_signals().nmi);
}

TEST_F(LapicTest, TellsTheSignalsOnce) {
  second.post({.mode = DeliveryMode::Init});
  second.post({.vector = 0x9A, .mode = DeliveryMode::StartUp});
  second.post({.vector = 0x08, .mode = DeliveryMode::StartUp});
  second.post({.mode = DeliveryMode::Nmi});
  const auto signals = second.take_signals();
  EXPECT_TRUE(signals.init);
  EXPECT_TRUE(signals.nmi);
  EXPECT_EQ(signals.sipi, 0x08);
  const auto again = second.take_signals();
  EXPECT_FALSE(again.init || again.nmi || again.sipi);
}

TEST_F(LapicTest, IgnoresTheDeassertionOfInit) {
  first.mmio_write(0x310, 1U << 24);
  first.mmio_write(0x300, 0x8500);  // INIT, level, de-assert
  EXPECT_FALSE(second.take_signals().init);
  first.mmio_write(0x300, 0xC500);
  EXPECT_TRUE(second.take_signals().init);
}

TEST_F(LapicTest, KeepsASipiThatArrivesWhileInitIsCarriedOut) {
  second.post({.mode = DeliveryMode::Init});
  EXPECT_TRUE(second.take_signals().init);
  second.post({.vector = 0x9A, .mode = DeliveryMode::StartUp});
  second.init();
  second.set_state(second.state());
  EXPECT_EQ(second.take_signals().sipi, 0x9A);
}

TEST_F(LapicTest, LetsThe8259ThroughByLint0) {
  EXPECT_FALSE(first.accepts_pic());
  wakes = 0;
  first.mmio_write(0x350, 0x700);
  EXPECT_TRUE(first.accepts_pic());
  EXPECT_EQ(wakes, 1U);
  first.mmio_write(0x350, 0x10700);
  EXPECT_FALSE(first.accepts_pic());
  first.post({.mode = DeliveryMode::ExtInt});
  EXPECT_TRUE(first.accepts_pic());
}

TEST_F(LapicTest, TurnsAPulseOnLint1IntoAnNmi) {
  first.pulse_lint1();
  EXPECT_FALSE(first.take_signals().nmi);  // masked
  first.mmio_write(0x360, 0x400);
  first.pulse_lint1();
  EXPECT_TRUE(first.take_signals().nmi);
}

TEST_F(LapicTest, CollectsErrorsUntilTheRegisterIsWritten) {
  first.mmio_write(0x370, 0xFE);
  first.mmio_write(0x300, 0x40005);  // self, vector 5
  EXPECT_EQ(first.mmio_read(0x280), 0U);
  first.mmio_write(0x280, 0);
  EXPECT_EQ(first.mmio_read(0x280), 0x20U);
  EXPECT_EQ(take(first), 0xFE);
  bus.send({.address = 0xFEE00000, .data = 3});
  EXPECT_EQ(first.pending_vector(), std::nullopt);  // 0xFE is in service
  first.mmio_write(0x280, 0);
  EXPECT_EQ(first.mmio_read(0x280), 0x40U);
}

TEST_F(LapicTest, IsDisabledAndResetByItsBaseRegister) {
  const u64 base = rdmsr(first, msr::IA32_APIC_BASE);
  EXPECT_EQ(base, 0xFEE00900U);
  first.mmio_write(0x350, 0x10700);
  EXPECT_TRUE(first.write_msr(msr::IA32_APIC_BASE, base & ~apic::base_msr::EN));
  EXPECT_EQ(first.mmio_page(), std::nullopt);
  EXPECT_TRUE(first.accepts_pic());
  first.post({.mode = DeliveryMode::Nmi});
  EXPECT_FALSE(first.take_signals().nmi);
  EXPECT_TRUE(first.write_msr(msr::IA32_APIC_BASE, base));
  EXPECT_EQ(first.mmio_read(0xF0), 0xFFU);
  EXPECT_FALSE(first.accepts_pic());
}

TEST_F(LapicTest, MovesItsPage) {
  EXPECT_TRUE(first.write_msr(msr::IA32_APIC_BASE, 0x12345000 | 0x900));
  EXPECT_EQ(first.mmio_page(), 0x12345000U);
}

TEST_F(LapicTest, RefusesImpossibleModeChanges) {
  const u64 base = 0xFEE00900, x2apic = base | apic::base_msr::EXTD, off = base & ~apic::base_msr::EN;
  const auto set = [this](u64 value) { return first.write_msr(msr::IA32_APIC_BASE, value); };
  EXPECT_FALSE(set(off | apic::base_msr::EXTD));
  EXPECT_FALSE(set(base | 1));
  EXPECT_FALSE(set(base | bit(9)));
  EXPECT_FALSE(set(base | bit(40)));
  EXPECT_TRUE(set(x2apic));
  EXPECT_TRUE(set(x2apic));
  EXPECT_FALSE(set(base));
  EXPECT_TRUE(set(off));
  EXPECT_FALSE(set(x2apic));
  EXPECT_TRUE(set(base));
}

TEST_F(LapicTest, HasItsRegistersAsMsrsInX2apicMode) {
  u64 value = 0;
  EXPECT_FALSE(second.read_msr(0x802, value));
  to_x2apic(second);
  EXPECT_EQ(second.mmio_page(), std::nullopt);
  EXPECT_EQ(rdmsr(second, 0x802), 1U);
  EXPECT_EQ(rdmsr(second, 0x803), 0x50014U);
  EXPECT_EQ(rdmsr(second, 0x80D), 2U);
  EXPECT_EQ(rdmsr(second, 0x80F), 0x1FFU);
  for (const u32 index : {0x800U, 0x80BU, 0x80EU, 0x831U, 0x82FU, 0x83FU, 0x840U, 0x8FFU}) {
    EXPECT_FALSE(second.read_msr(index, value)) << std::hex << index;
  }
  for (const u32 index : {0x802U, 0x803U, 0x80AU, 0x80DU, 0x80EU, 0x810U, 0x831U, 0x839U}) {
    EXPECT_FALSE(second.write_msr(index, 0)) << std::hex << index;
  }
  EXPECT_FALSE(second.write_msr(0x80B, 1));
  EXPECT_FALSE(second.write_msr(0x828, 1));
  EXPECT_FALSE(second.write_msr(0x80F, bit(32)));
  EXPECT_FALSE(second.write_msr(0x830, bit(20)));
  EXPECT_FALSE(second.write_msr(0x83F, 0x100));
  EXPECT_TRUE(second.write_msr(0x83F, 0x77));
  EXPECT_EQ(take(second), 0x77);
  EXPECT_TRUE(second.write_msr(0x80B, 0));
  EXPECT_EQ(rdmsr(second, 0x813), 0U);
}

TEST_F(LapicTest, HasNoRegisterPageInX2apicMode) {
  to_x2apic(second);
  const u64 logical_id = rdmsr(second, 0x80D);
  second.mmio_write(0xD0, 0x0D000000);
  EXPECT_EQ(rdmsr(second, 0x80D), logical_id);
  EXPECT_EQ(second.mmio_read(0xD0), 0U);
}

TEST_F(LapicTest, KeepsModeAndIdThroughInit) {
  to_x2apic(second);
  second.post({.vector = 0x80});
  second.init();
  EXPECT_EQ(second.pending_vector(), std::nullopt);
  EXPECT_EQ(rdmsr(second, 0x802), 1U);
  EXPECT_EQ(rdmsr(second, 0x80D), 2U);
  EXPECT_EQ(rdmsr(second, 0x80F), 0xFFU);
}

TEST_F(LapicTest, CanDeferTheEoiOfALoneEdgeOnly) {
  first.post({.vector = 0x41});
  first.post({.vector = 0x31});
  take(first);
  EXPECT_FALSE(first.may_defer_eoi(0x41));  // 0x31 waits
  first.mmio_write(0xB0, 0);
  take(first);
  EXPECT_TRUE(first.may_defer_eoi(0x31));
  first.post({.vector = 0x41});
  take(first);
  EXPECT_FALSE(first.may_defer_eoi(0x41));  // nested
  first.mmio_write(0xB0, 0);
  first.mmio_write(0xB0, 0);
  first.post({.vector = 0x61, .level = true});
  take(first);
  EXPECT_FALSE(first.may_defer_eoi(0x61));
}

TEST_F(LapicTest, IgnoresAccessesBetweenRegisters) {
  first.mmio_write(0x84, 0xFF);
  EXPECT_EQ(first.mmio_read(0x80), 0U);
  EXPECT_EQ(first.mmio_read(0x84), 0U);
  EXPECT_EQ(first.mmio_read(0xFF0), 0U);
  first.mmio_write(0xFF0, 1);
}

TEST_F(LapicTest, GoesOnFromAnotherApicsState) {
  first.post({.vector = 0x41});
  take(first);
  first.post({.vector = 0x52, .level = true});
  first.mmio_write(0x80, 0x20);
  first.mmio_write(0xD0, 0x01000000);
  first.mmio_write(0x370, 0xFE);
  const auto saved = first.state();
  EXPECT_EQ(saved.regs[apic::ISR + 2], 2U);
  EXPECT_EQ(saved.regs[apic::IRR + 2], 1U << 18);
  Lapic other(bus, clock, {.id = 0, .bootstrap_processor = true, .physical_address_bits = 40});
  other.set_state(saved);
  const auto again = other.state();
  EXPECT_EQ(again.regs, saved.regs);
  EXPECT_EQ(again.apic_base, saved.apic_base);
  EXPECT_EQ(take(other), 0x52);
}

TEST_F(LapicTest, MakesHostileStateHarmless) {
  vm::x86::ApicState state;
  state.apic_base = ~u64{0} & ~apic::base_msr::EN;
  state.regs.fill(~u32{0});
  state.tsc_deadline = ~u64{0};
  state.timer_remaining_ns = ~u64{0};
  first.set_state(state);
  EXPECT_EQ(rdmsr(first, msr::IA32_APIC_BASE), 0xFFFFFFF100U);
  EXPECT_EQ(first.state().regs[0x10], 0xFFFF0000U);
  EXPECT_EQ(first.pending_vector(), std::nullopt);
}

TEST_F(LapicTest, ForgetsWhatWasPostedWhenTold) {
  first.post({.mode = DeliveryMode::Nmi});
  first.post({.vector = 0x41});
  first.discard_posted();
  EXPECT_FALSE(first.take_signals().nmi);
  EXPECT_EQ(first.pending_vector(), std::nullopt);
}

}  // namespace
}  // namespace vireo::irq
