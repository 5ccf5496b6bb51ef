// `vireo run --stats`, on each engine.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cpu/kvm/kvm.h"
#include "process.h"
#include "small_guest.h"

namespace vireo::cli {
namespace {

using Json = nlohmann::json;

struct StatsOption : testing::TestWithParam<const char*> {
  Folder folder;
  std::string kernel = folder / "kernel", stats = folder / "stats.json";

  void SetUp() override {
    if (std::string(GetParam()) == "kvm" && !cpu::kvm::probe().usable) GTEST_SKIP() << cpu::kvm::probe().reason;
    write_file(kernel, small_guest());
  }
  std::vector<std::string> arguments() const {
    return {"run", "--engine", GetParam(), "--kernel", kernel, "--memory", "16M", "--cpus", "2", "--stats", stats};
  }
  Json take() const {
    std::ifstream file(stats);
    auto json = Json::parse(file);
    std::filesystem::remove(stats);
    return json;
  }
  static u64 exits(const Json& all, const std::string& cause) {
    for (const auto& row : all.at("vcpus").at(0).at("tables").at("exits")) {
      if (row.at("what") == cause) return row.at("count");
    }
    ADD_FAILURE() << cause;
    return 0;
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, StatsOption, testing::Values("interpret", "translate", "kvm"),
                         [](const auto& engine) { return engine.param; });

TEST_P(StatsOption, AreWrittenOnRequestWhileTheMachineGoesOnAndAtItsEnd) {
  Process vireo(arguments());
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  EXPECT_FALSE(std::filesystem::exists(stats));
  vireo.signal(SIGUSR2);
  for (int i = 0; i < 1000 && !std::filesystem::exists(stats); ++i) ::usleep(10'000);
  const auto first = take();
  EXPECT_EQ(first.at("version"), 1);
  EXPECT_EQ(first.at("engine"), GetParam());
  EXPECT_EQ(first.at("machine"), "vireo");
  ASSERT_EQ(first.at("vcpus").size(), 2u);
  EXPECT_EQ(first.at("vcpus").at(1).at("id"), 1);

  vireo.type("+r+p");
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  const auto last = take();
  EXPECT_GT(exits(last, "port"), exits(first, "port")) << "also through a reboot";
  EXPECT_GT(exits(last, "kick"), exits(first, "kick"));
  EXPECT_GE(last.at("guest_seconds"), first.at("guest_seconds"));
}

TEST_P(StatsOption, AreWrittenWhenTheGuestCrashes) {
  Process vireo(arguments());
  vireo.type("t");
  EXPECT_EQ(vireo.end(), 1);
  EXPECT_GT(exits(take(), "port"), 0u);
}

}  // namespace
}  // namespace vireo::cli
