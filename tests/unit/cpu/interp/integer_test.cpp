// Integer instructions where the comparison with the host CPU once found a difference.
#include <gtest/gtest.h>

#include "lone_cpu.h"

namespace vireo::cpu::interp {
namespace {

using namespace vm::x86;

constexpr int kNone = -1, kBR = 5;

TEST(Movnti, Stores32BitsIn16BitCode) {
  LoneCpu lone;
  lone.enter_real_mode();
  lone.cpu.r[RAX] = 0x12345678;
  EXPECT_EQ(lone.vector({0x0F, 0xC3, 0x06, 0, 0x10}), kNone);
  EXPECT_EQ(load<u32>(lone.ram() + 0x1000), 0x12345678u);
}

TEST(Enter, KeepsTheUpperHalfOfEspInEbpOnA16BitStack) {
  LoneCpu lone;
  lone.enter_real_mode();
  lone.cpu.r[RSP] = 0xABCD'2000;
  EXPECT_EQ(lone.vector({0x66, 0xC8, 8, 0, 0}), kNone);
  EXPECT_EQ(lone.cpu.r[RBP], 0xABCD'1FFCu);
  EXPECT_EQ(lone.cpu.r[RSP], 0xABCD'1FF4u);
}

TEST(Bound, ComparesSignedInclusive) {
  LoneCpu lone;
  store<i32>(lone.ram() + 0x1000, -5);
  store<i32>(lone.ram() + 0x1004, 5);
  const std::vector<u8> bound = {0x62, 0x05, 0, 0x10, 0, 0};  // BOUND eax, [1000h]
  for (const auto& [index, vector] : {std::pair{-5, kNone}, {5, kNone}, {-6, kBR}, {6, kBR}}) {
    lone.cpu.r[RAX] = static_cast<u32>(index);
    EXPECT_EQ(lone.vector(bound), vector) << index;
  }
}

TEST(Mul, LeavesTheFlagsItDoesNotDefineToTheHost) {
  LoneCpu lone;
  lone.cpu.r[RAX] = 3;
  lone.cpu.r[RCX] = 5;
  for (const u64 before : {rflags::kStatus, u64{0}}) {
    u64 host_flags = before;
    u32 low = 3, high;
    asm("push %[f]\n\tpopf\n\tmul %[m]\n\tpushf\n\tpop %[f]"
        : [f] "+r"(host_flags), "+a"(low), "=d"(high)
        : [m] "r"(5)
        : "cc");
    lone.cpu.r[RAX] = 3;
    lone.cpu.rflags = rflags::Fixed1 | before;
    EXPECT_EQ(lone.vector({0xF7, 0xE1}), kNone);
    EXPECT_EQ(lone.cpu.rflags & rflags::kStatus, host_flags & rflags::kStatus);
  }
}

}  // namespace
}  // namespace vireo::cpu::interp
