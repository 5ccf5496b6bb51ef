#include "irq/paravirt/paravirt.h"

#include <gtest/gtest.h>

#include "irq/paravirt/pvclock.h"
#include "unit/irq/manual_clock.h"
#include "vm/x86/msr.h"

namespace vireo::irq {
namespace {

namespace msr = vm::x86::msr;

vm::GuestMemory make_memory() {
  auto memory = vm::GuestMemory::create({{.gpa = 0, .size = 0x10000, .offset = 0}});
  EXPECT_TRUE(memory) << memory.error().message;
  return std::move(*memory);
}

struct ParavirtTest : testing::Test {
  static constexpr u64 kClock = 0x1000, kWall = 0x2000, kSteal = 0x3000, kEoi = 0x4000, kOutside = 0x100000;
  vm::GuestMemory memory = make_memory();
  test::ManualClock clock;
  ApicBus bus;
  Lapic lapic{bus, clock, {.id = 0, .bootstrap_processor = true}};
  Lapic other{bus, clock, {.id = 70}};
  u64 run_delay = 0;
  Paravirt paravirt{
      {.memory = memory, .clock = clock, .bus = bus, .lapic = lapic, .run_delay_ns = [this] { return run_delay; }}};

  ParavirtTest() {
    lapic.mmio_write(0xF0, 0x1FF);
    other.mmio_write(0xF0, 0x1FF);
  }
  template <class T>
  T peek(u64 address) {
    T value{};
    EXPECT_TRUE(memory.read(address, &value, sizeof value));
    return value;
  }
  template <class T>
  void poke(u64 address, T value) {
    EXPECT_TRUE(memory.write(address, &value, sizeof value));
  }
  /// What a guest computes from the page (msr.rst).
  u64 guest_time(u64 tsc) {
    const auto info = peek<PvclockVcpuTimeInfo>(kClock);
    EXPECT_EQ(info.version % 2, 0U);
    u64 delta = tsc - info.tsc_timestamp;
    delta = info.tsc_shift < 0 ? delta >> -info.tsc_shift : delta << info.tsc_shift;
    return info.system_time + static_cast<u64>(u128{delta} * info.tsc_to_system_mul >> 32);
  }
  u8 serve(u8 vector, bool level = false) {
    lapic.post({.vector = vector, .level = level});
    paravirt.collect_eoi();
    const auto pending = lapic.pending_vector();
    if (!pending) return 0;
    lapic.accept(*pending);
    paravirt.offer_eoi(*pending);
    return *pending;
  }
};

TEST_F(ParavirtTest, TellsTheTimeOfTheClock) {
  clock.advance(123'456'789);
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_SYSTEM_TIME_NEW, kClock | 1));
  EXPECT_EQ(guest_time(clock.tsc()), clock.now_ns());
  clock.advance(3'600'000'000'000);
  EXPECT_NEAR(static_cast<double>(guest_time(clock.tsc())), static_cast<double>(clock.now_ns()), 2000.0);
  EXPECT_EQ(peek<PvclockVcpuTimeInfo>(kClock).flags, kPvclockTscStable);
}

TEST_F(ParavirtTest, FollowsTheTscOffsetOfTheVcpu) {
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_SYSTEM_TIME, kClock | 1));
  clock.advance(1'000'000);
  paravirt.set_tsc_offset(777);
  EXPECT_EQ(guest_time(clock.tsc() + 777), clock.now_ns());
  EXPECT_EQ(peek<u32>(kClock), 4U);  // two updates
}

TEST(PvclockScale, IsPreciseForAnyFrequency) {
  for (const u64 khz : {1'000U, 999'999U, 1'000'000U, 1'000'001U, 2'593'906U, 3'000'000U, 5'800'000U, 4'294'967U}) {
    const auto [mul, shift] = pvclock_scale(khz);
    EXPECT_GE(mul, 1U << 31);
    const u64 second = khz * 1000;
    const u64 delta = shift < 0 ? second >> -shift : second << shift;
    EXPECT_NEAR(static_cast<double>(u128{delta} * mul >> 32), 1e9, 4.0) << khz;
  }
}

TEST_F(ParavirtTest, RewritesTheClockPageWhenRestored) {
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_SYSTEM_TIME_NEW, kClock | 1));
  const auto saved = paravirt.state();
  poke(kClock, std::array<u8, 32>{});
  paravirt.set_state(saved);
  clock.advance(5'000);
  EXPECT_EQ(guest_time(clock.tsc()), 5'000U);
}

TEST_F(ParavirtTest, TellsWhenGuestTimeBegan) {
  clock.advance(5'000'000'000);
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_WALL_CLOCK_NEW, kWall));
  const auto wall = peek<PvclockWallClock>(kWall);
  EXPECT_EQ(wall.version, 2U);
  EXPECT_EQ(wall.sec, 1'700'000'000U);
  EXPECT_EQ(wall.nsec, 0U);
}

TEST_F(ParavirtTest, BearsAddressesOutsideOfRam) {
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_SYSTEM_TIME_NEW, kOutside | 1));
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_SYSTEM_TIME_NEW, 0xFFF0 | 1));
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_SYSTEM_TIME_NEW, ~u64{0}));
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_WALL_CLOCK_NEW, 0xFFFC));
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_WALL_CLOCK_NEW, ~u64{0}));
  EXPECT_FALSE(paravirt.write_msr(msr::KVM_STEAL_TIME, kOutside | 1));
  EXPECT_FALSE(paravirt.write_msr(msr::KVM_STEAL_TIME, kSteal | 3));
  EXPECT_FALSE(paravirt.write_msr(msr::KVM_PV_EOI_EN, kOutside | 1));
  EXPECT_FALSE(paravirt.write_msr(msr::KVM_PV_EOI_EN, kEoi | 3));
  EXPECT_EQ(peek<u32>(0xFFF0), 0U);
  EXPECT_EQ(peek<u32>(0xFFFC), 0U);
}

TEST_F(ParavirtTest, RefusesRegistersThatAreNotAnnounced) {
  u64 value = 0;
  for (const u32 index : {msr::KVM_ASYNC_PF_EN, msr::KVM_POLL_CONTROL, 0x4B564D06U, 0x4B564DFFU}) {
    EXPECT_FALSE(paravirt.read_msr(index, value));
    EXPECT_FALSE(paravirt.write_msr(index, 0));
  }
}

TEST_F(ParavirtTest, MarksASleepingVcpuAndTellsOfAFlush) {
  EXPECT_FALSE(paravirt.woke());
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_STEAL_TIME, kSteal | 1));
  paravirt.sleeps();
  EXPECT_EQ(peek<u8>(kSteal + 16), 1);
  EXPECT_FALSE(paravirt.woke());
  EXPECT_EQ(peek<u8>(kSteal + 16), 0);
  paravirt.sleeps();
  poke(kSteal + 16, u8{3});
  EXPECT_TRUE(paravirt.woke());
  EXPECT_EQ(peek<u8>(kSteal + 16), 0);
}

TEST_F(ParavirtTest, AddsUpStolenTime) {
  run_delay = 500;
  poke(kSteal, u64{1'000});
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_STEAL_TIME, kSteal | 1));
  run_delay += 40;
  clock.advance(1'000'000);
  paravirt.sleeps();
  paravirt.woke();
  EXPECT_EQ(peek<u64>(kSteal), 1'040U);
  EXPECT_EQ(peek<u32>(kSteal + 8), 2U);
  run_delay += 2;
  paravirt.offer_eoi(0x40);
  EXPECT_EQ(peek<u64>(kSteal), 1'040U) << "asked once a millisecond";
  clock.advance(1'000'000);
  paravirt.offer_eoi(0x40);
  EXPECT_EQ(peek<u64>(kSteal), 1'042U);
  EXPECT_EQ(paravirt.state().steal_ns, 42U);
}

TEST_F(ParavirtTest, CountsNoTimeOfTheThreadThatSetItsState) {
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_STEAL_TIME, kSteal | 1));
  auto saved = paravirt.state();
  run_delay = 1'000'000;  // another thread's
  paravirt.set_state(saved);
  run_delay = 300;
  clock.advance(1'000'000);
  paravirt.woke();
  EXPECT_EQ(peek<u64>(kSteal), 0U);
  run_delay += 7;
  clock.advance(1'000'000);
  paravirt.woke();
  EXPECT_EQ(peek<u64>(kSteal), 7U);
}

TEST_F(ParavirtTest, DoesNotAskForStolenTimeUnlessTheGuestDoes) {
  unsigned asked = 0;
  Paravirt quiet{{.memory = memory, .clock = clock, .bus = bus, .lapic = lapic, .run_delay_ns = [&asked] {
                    ++asked;
                    return u64{0};
                  }}};
  for (unsigned i = 0; i < 10; ++i) {
    clock.advance(10'000'000);
    quiet.sleeps();
    quiet.woke();
    quiet.offer_eoi(0x40);
  }
  EXPECT_EQ(asked, 0U);
}

TEST_F(ParavirtTest, TakesAnEoiFromMemory) {
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_PV_EOI_EN, kEoi | 1));
  EXPECT_EQ(serve(0x41), 0x41);
  EXPECT_EQ(peek<u32>(kEoi), 1U);
  poke(kEoi, u32{0});  // the guest's EOI
  EXPECT_EQ(serve(0x31), 0x31);
  EXPECT_EQ(peek<u32>(kEoi), 1U);
}

TEST_F(ParavirtTest, WithdrawsTheOfferWhenAnotherInterruptComes) {
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_PV_EOI_EN, kEoi | 1));
  serve(0x41);
  EXPECT_EQ(serve(0x31), 0);  // blocked by 0x41
  EXPECT_EQ(peek<u32>(kEoi), 0U);
  lapic.mmio_write(0xB0, 0);
  EXPECT_EQ(lapic.pending_vector(), 0x31);
}

TEST_F(ParavirtTest, OffersNoEoiForNestedOrLevelInterrupts) {
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_PV_EOI_EN, kEoi | 1));
  serve(0x41);
  serve(0x51);  // nests: the offer for 0x41 is withdrawn, none is made
  EXPECT_EQ(peek<u32>(kEoi), 0U);
  lapic.eoi();
  lapic.eoi();
  serve(0x41, true);
  EXPECT_EQ(peek<u32>(kEoi), 0U);
}

TEST_F(ParavirtTest, CarriesTheEoiOutBeforeTheApicsStateIsTaken) {
  EXPECT_TRUE(paravirt.write_msr(msr::KVM_PV_EOI_EN, kEoi | 1));
  serve(0x41);
  poke(kEoi, u32{0});
  EXPECT_EQ(lapic.state().regs[apic::ISR + 2], 0U);
  EXPECT_FALSE(paravirt.state().pv_eoi_pending);
}

TEST_F(ParavirtTest, SendsIpisByBitmap) {
  EXPECT_EQ(paravirt.hypercall(10, 1, bit(6), 0, 0x40), 2U);
  EXPECT_EQ(lapic.pending_vector(), 0x40);
  EXPECT_EQ(other.pending_vector(), 0x40);
  EXPECT_EQ(paravirt.hypercall(10, 2, 0, 69, 0x41), 1U);
  EXPECT_EQ(other.pending_vector(), 0x41);
  EXPECT_EQ(paravirt.hypercall(10, 1, 0, 70, 0x400), 1U);
  EXPECT_TRUE(other.take_signals().nmi);
  EXPECT_EQ(paravirt.hypercall(10, 0, 0, ~u64{0}, 0x40), 0U);
  EXPECT_EQ(paravirt.hypercall(10, 1, 0, 0, 0x40040), static_cast<u64>(-22));
}

TEST_F(ParavirtTest, KicksAnotherVcpu) {
  Paravirt of_other{{.memory = memory, .clock = clock, .bus = bus, .lapic = other}};
  unsigned wakes = 0;
  other.set_wake([&wakes] { ++wakes; });
  EXPECT_EQ(paravirt.hypercall(5, 0, 70, 0, 0), 0U);
  EXPECT_EQ(wakes, 1U);
  EXPECT_TRUE(of_other.take_unhalt());
  EXPECT_FALSE(of_other.take_unhalt());
  EXPECT_EQ(paravirt.hypercall(5, 0, 71, 0, 0), 0U);
  EXPECT_EQ(paravirt.hypercall(5, 0, ~u64{0}, 0, 0), 0U);
}

TEST_F(ParavirtTest, KnowsNoOtherHypercalls) {
  EXPECT_EQ(paravirt.hypercall(1, 0, 0, 0, 0), 0U);
  for (const u64 number : {u64{0}, u64{9}, u64{11}, u64{12}, ~u64{0}}) {
    EXPECT_EQ(paravirt.hypercall(number, 0, 0, 0, 0), static_cast<u64>(-1000));
  }
}

TEST_F(ParavirtTest, SwitchesOffWhatAHostileStateHolds) {
  vm::x86::ParavirtState state;
  state.steal_time = 0xFFFF;
  state.pv_eoi = ~u64{0};
  state.pv_eoi_pending = true;
  state.system_time = state.wall_clock = ~u64{0};
  paravirt.set_state(state);
  paravirt.sleeps();
  paravirt.woke();
  paravirt.collect_eoi();
  paravirt.offer_eoi(0x40);
}

}  // namespace
}  // namespace vireo::irq
