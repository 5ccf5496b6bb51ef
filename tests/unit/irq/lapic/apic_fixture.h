#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "irq/lapic/lapic.h"
#include "unit/irq/manual_clock.h"
#include "vm/x86/msr.h"

namespace vireo::irq {

namespace msr = vm::x86::msr;

/// Two APICs, both enabled in xAPIC mode.
struct ApicTest : testing::Test {
  test::ManualClock clock;
  ApicBus bus;
  std::vector<u8> eois;
  Lapic first{bus, clock, {.id = 0, .bootstrap_processor = true, .physical_address_bits = 40}};
  Lapic second{bus, clock, {.id = 1, .physical_address_bits = 40}};
  unsigned wakes = 0;

  ApicTest() {
    bus.set_level_eoi([this](u8 vector) { eois.push_back(vector); });
    first.set_wake([this] { ++wakes; });
    for (Lapic* lapic : {&first, &second}) lapic->mmio_write(0xF0, 0x1FF);
  }

  static void to_x2apic(Lapic& lapic) {
    u64 base = 0;
    ASSERT_TRUE(lapic.read_msr(msr::IA32_APIC_BASE, base));
    ASSERT_TRUE(lapic.write_msr(msr::IA32_APIC_BASE, base | apic::base_msr::EXTD));
  }
  static std::optional<u8> take(Lapic& lapic) {
    const auto vector = lapic.pending_vector();
    if (vector) lapic.accept(*vector);
    return vector;
  }
  static u64 rdmsr(Lapic& lapic, u32 index) {
    u64 value = 0;
    EXPECT_TRUE(lapic.read_msr(index, value));
    return value;
  }
};

}  // namespace vireo::irq
