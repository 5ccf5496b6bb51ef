// `vireo run` from end to end, with a small guest, on each engine.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "cpu/kvm/kvm.h"
#include "process.h"
#include "small_guest.h"

namespace vireo::cli {
namespace {

struct Run : testing::TestWithParam<const char*> {
  Folder folder;
  std::string kernel = folder / "kernel", state = folder / "state";

  void SetUp() override {
    if (std::string(GetParam()) == "kvm" && !cpu::kvm::probe().usable) GTEST_SKIP() << cpu::kvm::probe().reason;
    write_file(kernel, small_guest());
  }
  std::vector<std::string> arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"run", "--engine", GetParam(), "--kernel", kernel, "--memory", "16M"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, Run, testing::Values("interpret", "kvm"),
                         [](const auto& engine) { return engine.param; });

TEST_P(Run, EndsWithZeroWhenTheGuestPowersOff) {
  Process vireo(arguments());
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  vireo.type("p");
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  EXPECT_NE(vireo.errors().find(std::string("vireo: engine: ") + GetParam()), std::string::npos) << vireo.errors();
}

TEST_P(Run, RebootsInTheSameProcessWithFreshMemory) {
  Process vireo(arguments({"--cpus", "2"}));
  vireo.type("++");
  ASSERT_TRUE(vireo.await("B12")) << vireo.errors();
  for (int i = 0; i < 5; ++i) vireo.type("r");
  ASSERT_TRUE(vireo.await("B12BBBBB"));
  vireo.type("+p");
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  EXPECT_EQ(vireo.out(), "B12BBBBB1");
}

TEST_P(Run, ATripleFaultPrintsTheRegistersAndStopsWithOne) {
  Process vireo(arguments());
  vireo.type("t");
  EXPECT_EQ(vireo.end(), 1);
  EXPECT_NE(vireo.errors().find("triple fault"), std::string::npos) << vireo.errors();
  EXPECT_NE(vireo.errors().find("32-bit protected mode, RIP=00000000001000"), std::string::npos) << vireo.errors();
}

TEST_P(Run, ATripleFaultRebootsWhenAskedTo) {
  Process vireo(arguments({"--on-crash", "reboot"}));
  vireo.type("t");
  ASSERT_TRUE(vireo.await("BB")) << vireo.errors();
  vireo.type("p");
  EXPECT_EQ(vireo.end(), 0);
  EXPECT_NE(vireo.errors().find("triple fault"), std::string::npos);
}

TEST_P(Run, SigtermPressesThePowerButtonAndThenPullsThePlug) {
  Process vireo(arguments());
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  vireo.signal(SIGTERM);
  vireo.type("a");
  ASSERT_TRUE(vireo.await("A")) << vireo.errors();
  vireo.signal(SIGTERM);
  EXPECT_EQ(vireo.end(), 0);
}

TEST_P(Run, ASavedMachineGoesOnHereAndInANewProcess) {
  Process vireo(arguments({"--save-on", "SIGUSR1", state}));
  vireo.type("+++");
  ASSERT_TRUE(vireo.await("B123")) << vireo.errors();
  vireo.signal(SIGUSR1);
  for (int i = 0; i < 1000 && !std::filesystem::exists(state); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  vireo.type("+");
  ASSERT_TRUE(vireo.await("B1234")) << vireo.errors();
  vireo.type("p");
  EXPECT_EQ(vireo.end(), 0);

  std::filesystem::remove(kernel);  // the state file has what a reboot needs
  for (const char* engine : {"interpret", "kvm"}) {
    if (std::string(engine) == "kvm" && !cpu::kvm::probe().usable) continue;
    Process restored({"run", "--restore", state, "--engine", engine});
    restored.type("++");
    ASSERT_TRUE(restored.await("45")) << engine << restored.errors();
    restored.type("r");
    ASSERT_TRUE(restored.await("45B")) << engine << restored.errors();
    restored.type("+p");
    EXPECT_EQ(restored.end(), 0) << restored.errors();
    EXPECT_EQ(restored.out(), "45B1");
  }
}

TEST_P(Run, ARestoredMachineCanBeSavedAgain) {
  Process vireo(arguments({"--save-on", "SIGUSR1", state, "--after-save", "stop"}));
  vireo.type("++");
  ASSERT_TRUE(vireo.await("B12")) << vireo.errors();
  vireo.signal(SIGUSR1);
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  std::filesystem::remove(kernel);

  const auto second = folder / "second";
  Process again(
      {"run", "--restore", state, "--engine", GetParam(), "--save-on", "SIGUSR2", second, "--after-save", "stop"});
  again.type("+");
  ASSERT_TRUE(again.await("3")) << again.errors();
  again.signal(SIGUSR2);
  EXPECT_EQ(again.end(), 0) << again.errors();
  std::filesystem::remove(state);

  Process last({"run", "--restore", second, "--engine", GetParam()});
  last.type("+r+p");
  EXPECT_EQ(last.end(), 0) << last.errors();
  EXPECT_EQ(last.out(), "4B1");
}

TEST_P(Run, ExecutesLockCmpxchg16b) {
  Process vireo(arguments());
  vireo.type("x");
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  EXPECT_EQ(vireo.out(), "BX") << vireo.errors();
}

TEST_P(Run, TheTerminalIsRawMeanwhileAndAsItWasAfterwards) {
  {
    Process vireo(arguments(), true);
    ASSERT_TRUE(vireo.await("B")) << vireo.errors();
    EXPECT_TRUE(vireo.raw());
    EXPECT_NE(vireo.errors().find("Ctrl-]"), std::string::npos) << vireo.errors();
    vireo.type("+");
    ASSERT_TRUE(vireo.await("B1"));
    vireo.type("\x1d");
    EXPECT_EQ(vireo.end(), 0) << vireo.errors();
    EXPECT_FALSE(vireo.raw());
  }
  {
    Process vireo(arguments(), true);
    ASSERT_TRUE(vireo.await("B"));
    vireo.type("t");
    EXPECT_EQ(vireo.end(), 1);
    EXPECT_FALSE(vireo.raw());
  }
}

TEST_P(Run, TheConsoleCanBeAFileOrNothing) {
  const auto log = folder / "log";
  Process vireo(arguments({"--console", "file:" + log}));
  for (int i = 0; i < 1000 && (!std::filesystem::exists(log) || std::filesystem::file_size(log) == 0); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  vireo.signal(SIGTERM);
  for (int i = 0; i < 1000 && vireo.errors().find("power button") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  vireo.signal(SIGINT);
  EXPECT_EQ(vireo.end(), 0);
  EXPECT_EQ(vireo.out(), "");
  EXPECT_EQ(std::filesystem::file_size(log), 1u);
}

TEST_P(Run, TheOptionsWorkFromAFileAndTheCommandLineOverridesThem) {
  const auto config = folder / "vm.toml";
  std::ofstream(config) << "kernel = \"" << kernel << "\"\nmemory = \"1M\"\ncpus = 2\nquiet = true\n";
  Process vireo({"run", "--config", config, "--memory", "32M", "--engine", GetParam()});
  vireo.type("p");
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  EXPECT_EQ(vireo.errors(), "");
}

}  // namespace
}  // namespace vireo::cli
