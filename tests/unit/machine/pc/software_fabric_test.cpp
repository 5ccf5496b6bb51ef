#include "machine/pc/software_fabric.h"

#include <gtest/gtest.h>

#include "support/crowded_cpu.h"
#include "support/test_clock.h"
#include "vm/x86/msr.h"

namespace vireo::machine {
namespace {

using namespace std::chrono_literals;

TEST(SoftwareFabric, TellsTheGuestOfTimeThatOtherThreadsTook) {
  auto memory = vm::GuestMemory::create({{.gpa = 0, .size = 0x10000, .offset = 0}});
  ASSERT_TRUE(memory) << memory.error().message;
  test::TestClock clock;
  SoftwareFabric fabric(*memory, clock, 1, 40);
  auto& paravirt = *fabric.paravirt(0);
  constexpr u64 kPage = 0x3000;
  ASSERT_TRUE(paravirt.write_msr(vm::x86::msr::KVM_STEAL_TIME, kPage | 1));
  {
    const test::CrowdedCpu crowd;
    test::CrowdedCpu::work_for(300ms);
    paravirt.sleeps();
    paravirt.woke();
  }
  u64 stolen = 0;
  ASSERT_TRUE(memory->read(kPage, &stolen, sizeof stolen));
  EXPECT_GT(stolen, 30'000'000u);
  EXPECT_LT(stolen, 10'000'000'000u);
}

}  // namespace
}  // namespace vireo::machine
