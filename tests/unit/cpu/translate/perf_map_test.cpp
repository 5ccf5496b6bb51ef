#include "host/perf_map.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "cpu/translate/translate.h"
#include "support/long_mode.h"

namespace vireo::cpu::translate {
namespace {

TEST(PerfMap, NamesBlocksByWhereTheyAreInTheGuest) {
  if (const auto can = supported(); !can) GTEST_SKIP() << can.error().message;
  const auto map = host::PerfMap::create().value();
  test::LongMode guest(
      [&](const vm::VcpuSetup& setup) { return make_translator(setup, {.perf_map = map.get()}).value(); });
  const u8 code[] = {0xEB, 0x0E, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xE6, 0xF4};  // jmp 0x8010; ...; out
  guest.load(code);
  ASSERT_TRUE(guest.vcpu().set_state(test::LongMode::start_state()));
  ASSERT_EQ(guest.vcpu().run().reason, vm::ExitReason::Kicked);
  std::ifstream file(map->path());
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::filesystem::remove(map->path());
  EXPECT_NE(text.find(" translator_thunks\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" guest_0000000000008000_k\n"), std::string::npos) << text;
  EXPECT_NE(text.find(" guest_0000000000008010_k\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace vireo::cpu::translate
