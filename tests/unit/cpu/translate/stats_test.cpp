#include <gtest/gtest.h>

#include <thread>

#include "cpu/translate/translate.h"
#include "support/long_mode.h"

#define SKIP_WITHOUT_TRANSLATOR() \
  if (const auto can = supported(); !can) GTEST_SKIP() << can.error().message

namespace vireo::cpu::translate {
namespace {

class TranslatorStats : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_TRANSLATOR();
    guest_ =
        std::make_unique<test::LongMode>([](const vm::VcpuSetup& setup) { return make_translator(setup, {}).value(); });
  }
  void run(std::vector<u8> code) {
    guest_->load(code);
    ASSERT_TRUE(guest_->vcpu().set_state(test::LongMode::start_state()));
    ASSERT_EQ(guest_->vcpu().run().reason, vm::ExitReason::Kicked);
    stats_ = guest_->vcpu().stats();
  }
  u64 counter(const std::string& name) {
    for (const auto& counter : stats_.counters) {
      if (counter.what == name) return counter.count;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
  const std::vector<vm::Stats::Count>& rows(const std::string& name) {
    for (const auto& table : stats_.tables) {
      if (table.name == name) return table.rows;
    }
    ADD_FAILURE() << "no table " << name;
    static const std::vector<vm::Stats::Count> none;
    return none;
  }
  u64 row(const std::string& table, const std::string& what) {
    u64 sum = 0;
    for (const auto& row : rows(table)) {
      if (row.what == what) sum += row.count;
    }
    return sum;
  }

  std::unique_ptr<test::LongMode> guest_;
  vm::Stats stats_;
};

TEST_F(TranslatorStats, CountWhatWasTranslatedAndWhyItWasLeft) {
  run({
      0xB9, 0x05, 0x00, 0x00, 0x00,                 // mov ecx, 5
      0x48, 0xA3, 0,    0,    0x20, 0, 0, 0, 0, 0,  // mov [0x200000], rax: a device
      0x0F, 0x31,                                   // rdtsc
      0x0F, 0xA2,                                   // cpuid
      0xE6, 0xF4,                                   // out 0xf4, al
  });
  EXPECT_GE(counter("translations"), 1u);
  EXPECT_GE(counter("translated_instructions"), 6u);
  EXPECT_GE(row("exits", "helper"), 1u);
  EXPECT_EQ(row("fallbacks", "cpuid"), 1u);
  EXPECT_EQ(row("helpers", "cpuid"), 1u);
  EXPECT_EQ(row("fallbacks", "out"), 1u);
}

TEST_F(TranslatorStats, CountAccessesByWhatBecameOfThem) {
  run({
      0xB9, 0x05, 0x00, 0x00, 0x00,  // mov ecx, 5
      0xBB, 0x00, 0x00, 0x20, 0x00,  // mov ebx, 0x200000
      0x48, 0x89, 0x03,              // 1: mov [rbx], rax: a device
      0x48, 0x89, 0x04, 0x24,        // mov [rsp], rax: RAM
      0xFF, 0xC9,                    // dec ecx
      0x75, 0xF5,                    // jnz 1b
      0xE6, 0xF4,                    // out 0xf4, al
  });
  EXPECT_EQ(row("exits", "access_slow"), 5u);
  EXPECT_EQ(row("slow_accesses", "mov"), 5u);
  EXPECT_EQ(row("fallbacks", "mov"), 5u);
  EXPECT_EQ(row("exits", "mmio"), 5u);
  EXPECT_GE(row("tlb_misses", "slot"), 1u);
  EXPECT_GE(row("tlb_misses", "page_walk"), 6u);
}

TEST_F(TranslatorStats, SayWhereTheGuestWasWhenItWasInterrupted) {
  std::atomic<bool> done{false};
  std::thread kicks([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    while (!done) {
      guest_->vcpu().kick();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  run({0xEB, 0xFE});  // jmp to itself
  done = true;
  kicks.join();
  const auto& hottest = rows("hottest_blocks");
  ASSERT_EQ(hottest.size(), 1u);
  EXPECT_EQ(hottest[0].what, vm::Stats::address(test::LongMode::kCode));
  EXPECT_EQ(row("exits", "leave"), hottest[0].count);
}

}  // namespace
}  // namespace vireo::cpu::translate
