#include <thread>

#include "irq/ioapic/ioapic.h"
#include "unit/irq/lapic/apic_fixture.h"

namespace vireo::irq {
namespace {

struct ApicBusTest : ApicTest {
  Lapic third{bus, clock, {.id = 2}};
  ApicBusTest() { third.mmio_write(0xF0, 0x1FF); }
  /// Which APICs have `vector` waiting; they forget it.
  std::string who(u8 vector) {
    std::string names;
    for (Lapic* lapic : bus.lapics()) {
      if (take(*lapic) != vector) continue;
      lapic->eoi();
      names += static_cast<char>('0' + lapic->id());
    }
    return names;
  }
};

TEST_F(ApicBusTest, RoutesByPhysicalId) {
  first.mmio_write(0x310, 2U << 24);
  first.mmio_write(0x300, 0x4040);
  EXPECT_EQ(who(0x40), "2");
  first.mmio_write(0x310, 0xFFU << 24);
  first.mmio_write(0x300, 0x4040);
  EXPECT_EQ(who(0x40), "012");
  first.mmio_write(0x310, 7U << 24);
  first.mmio_write(0x300, 0x4040);
  EXPECT_EQ(who(0x40), "");
}

TEST_F(ApicBusTest, RoutesByShorthand) {
  second.mmio_write(0x300, 0x44041);
  EXPECT_EQ(who(0x41), "1");
  second.mmio_write(0x300, 0x84042);
  EXPECT_EQ(who(0x42), "012");
  second.mmio_write(0x300, 0xC4043);
  EXPECT_EQ(who(0x43), "02");
}

TEST_F(ApicBusTest, RoutesByFlatLogicalId) {
  for (Lapic* lapic : bus.lapics()) lapic->mmio_write(0xD0, 0x01000000U << lapic->id());
  first.mmio_write(0x310, 6U << 24);
  first.mmio_write(0x300, 0x4840);
  EXPECT_EQ(who(0x40), "12");
}

TEST_F(ApicBusTest, RoutesByClusteredLogicalId) {
  first.mmio_write(0xD0, 0x11000000);
  second.mmio_write(0xD0, 0x12000000);
  third.mmio_write(0xD0, 0x21000000);
  for (Lapic* lapic : bus.lapics()) lapic->mmio_write(0xE0, 0x0FFFFFFF);
  first.mmio_write(0x310, 0x13U << 24);
  first.mmio_write(0x300, 0x4840);
  EXPECT_EQ(who(0x40), "01");
  first.mmio_write(0x310, 0xFFU << 24);
  first.mmio_write(0x300, 0x4840);
  EXPECT_EQ(who(0x40), "012");
}

TEST_F(ApicBusTest, RoutesByX2apicIds) {
  Lapic far(bus, clock, {.id = 33});
  far.mmio_write(0xF0, 0x1FF);
  for (Lapic* lapic : bus.lapics()) to_x2apic(*lapic);
  EXPECT_EQ(rdmsr(far, 0x80D), 0x20002U);
  EXPECT_TRUE(first.write_msr(0x830, u64{33} << 32 | 0x40));
  EXPECT_EQ(take(far), 0x40);
  EXPECT_TRUE(first.write_msr(0x830, u64{0x20003} << 32 | 0x850));  // logical: cluster 2, members 0 and 1
  EXPECT_EQ(take(far), 0x50);
  EXPECT_EQ(who(0x50), "");
  EXPECT_TRUE(first.write_msr(0x830, u64{5} << 32 | 0x851));
  EXPECT_EQ(who(0x51), "02");
  EXPECT_TRUE(first.write_msr(0x830, u64{0xFFFFFFFF} << 32 | 0x60));
  EXPECT_EQ(take(far), 0x60);
  EXPECT_EQ(who(0x60), "012");
}

TEST_F(ApicBusTest, RoutesMessageSignalledInterrupts) {
  bus.send({.address = 0xFEE01000, .data = 0x4040});
  EXPECT_EQ(who(0x40), "1");
  for (Lapic* lapic : bus.lapics()) to_x2apic(*lapic);
  bus.send({.address = 0xFEE02000, .data = 0x41});
  EXPECT_EQ(who(0x41), "2");
  bus.send({.address = 0xFEE06004, .data = 0x42});  // logical 6 in cluster 0
  EXPECT_EQ(who(0x42), "12");
  bus.send({.address = 0xFEEFF000, .data = 0x43});
  EXPECT_EQ(who(0x43), "012");
}

TEST_F(ApicBusTest, PicksOneAcceptingApicForLowestPriority) {
  for (Lapic* lapic : bus.lapics()) lapic->mmio_write(0xD0, 0x01000000U << lapic->id());
  for (u32 vector = 0x40; vector < 0x50; ++vector) {
    bus.send({.address = 0xFEE07004, .data = 0x100 | vector});
    EXPECT_EQ(who(static_cast<u8>(vector)).size(), 1U);
  }
  second.mmio_write(0xF0, 0xFF);
  bus.send({.address = 0xFEE02004, .data = 0x140});
  EXPECT_EQ(who(0x40), "");
}

TEST_F(ApicBusTest, CarriesALevelFromThePinToTheEoiAndBack) {
  IoApic ioapic(bus);
  bus.set_level_eoi([&ioapic](u8 vector) { ioapic.eoi(vector); });
  ioapic.mmio_write(0, 4, 0x11 + 2 * 10);
  ioapic.mmio_write(0x10, 4, 1U << 24);
  ioapic.mmio_write(0, 4, 0x10 + 2 * 10);
  ioapic.mmio_write(0x10, 4, 0x8050);
  ioapic.pin(10).set(true);
  EXPECT_EQ(take(second), 0x50);
  EXPECT_EQ(second.pending_vector(), std::nullopt);
  second.mmio_write(0xB0, 0);
  EXPECT_EQ(take(second), 0x50);  // the line is still high
  ioapic.pin(10).set(false);
  second.mmio_write(0xB0, 0);
  EXPECT_EQ(second.pending_vector(), std::nullopt);
}

/// A vCPU's thread as an engine has it: it looks after a wake, and only then.
class Runner {
 public:
  explicit Runner(Lapic& lapic) : lapic_(lapic) {
    lapic.mmio_write(0xF0, 0x1FF);
    lapic.set_wake([this] {
      attention_.store(true, std::memory_order_release);
      attention_.notify_one();
    });
  }
  void serve(unsigned count) {
    while (served < count) {
      attention_.wait(false, std::memory_order_acquire);
      attention_.exchange(false, std::memory_order_acquire);
      while (const auto vector = lapic_.pending_vector()) {
        lapic_.accept(*vector);
        lapic_.mmio_write(0xB0, 0);
        ++served;
        reply(*vector);
      }
    }
  }
  unsigned served = 0;
  std::function<void(u8 vector)> reply;

 private:
  Lapic& lapic_;
  std::atomic<bool> attention_{false};
};

TEST(ApicThreads, PassABallByIpisWithoutLosingIt) {
  test::ManualClock clock;
  ApicBus bus;
  Lapic a(bus, clock, {.id = 0}), b(bus, clock, {.id = 1});
  Runner run_a(a), run_b(b);
  constexpr unsigned kRounds = 20'000;
  const auto kick = [](Lapic& from, u32 to) {
    from.mmio_write(0x310, to << 24);
    from.mmio_write(0x300, 0x4000 | 0xF3);
  };
  run_a.reply = [&](u8) {
    if (run_a.served < kRounds) kick(a, 1);
  };
  run_b.reply = [&](u8) { kick(b, 0); };
  std::thread other([&] { run_b.serve(kRounds); });
  kick(a, 1);
  run_a.serve(kRounds);
  other.join();
}

TEST(ApicThreads, LoseNoVectorPostedByManyThreads) {
  test::ManualClock clock;
  ApicBus bus;
  Lapic lapic(bus, clock, {.id = 0});
  Runner runner(lapic);
  constexpr unsigned kSenders = 4, kRounds = 5'000;
  std::array<std::atomic<bool>, kSenders> answered{};
  runner.reply = [&](u8 vector) {
    auto& flag = answered[(vector - 0x40U) / 0x20U];
    flag.store(true);
    flag.notify_one();
  };
  std::vector<std::thread> senders;
  for (unsigned i = 0; i < kSenders; ++i) {
    senders.emplace_back([&, i] {
      for (unsigned round = 0; round < kRounds; ++round) {
        answered[i].store(false);
        bus.send({.address = 0xFEE00000, .data = 0x40 + i * 0x20 + (i % 2 ? 0xC000 : 0)});
        answered[i].wait(false);
      }
    });
  }
  runner.serve(kSenders * kRounds);
  for (auto& sender : senders) sender.join();
}

}  // namespace
}  // namespace vireo::irq
