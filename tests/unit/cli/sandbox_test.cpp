// What a running `vireo` still has in its hands, as the kernel tells it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

#include "cpu/kvm/kvm.h"
#include "process.h"
#include "small_guest.h"

namespace vireo::cli {
namespace {

/// "Seccomp" -> "2" and so on, from a status file of /proc.
std::map<std::string, std::string> status_of(const std::filesystem::path& path) {
  std::map<std::string, std::string> status;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(":\t");
    if (colon != line.npos) status[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return status;
}

struct Sandboxed : testing::TestWithParam<const char*> {
  Folder folder;
  std::string kernel = folder / "kernel", state = folder / "state";

  void SetUp() override {
    if (std::string(GetParam()) == "kvm" && !cpu::kvm::probe().usable) GTEST_SKIP() << cpu::kvm::probe().reason;
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "AddressSanitizer makes system calls of its own";
#endif
    write_file(kernel, small_guest());
  }
  std::vector<std::string> arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"run", "--engine", GetParam(), "--kernel", kernel, "--memory", "16M"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, Sandboxed, testing::Values("interpret", "kvm"),
                         [](const auto& engine) { return engine.param; });

TEST_P(Sandboxed, NoThreadHasCapabilitiesOrAllSystemCallsOrCanGainPrivileges) {
  Process vireo(arguments({"--cpus", "2"}));
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  unsigned threads = 0;
  for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", vireo.pid()))) {
    ++threads;
    auto status = status_of(task.path() / "status");
    SCOPED_TRACE(status["Name"]);
    EXPECT_EQ(status["NoNewPrivs"], "1");
    EXPECT_EQ(status["Seccomp"], "2");  // SECCOMP_MODE_FILTER
    const std::string none(16, '0');
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) EXPECT_EQ(status[set], none) << set;
    if (::geteuid() == 0) {  // it takes a capability to drop these
      EXPECT_EQ(status["CapBnd"], none);
    }
  }
  EXPECT_GE(threads, 3u);
  vireo.type("p");
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
}

TEST_P(Sandboxed, TurnedOffItStaysOut) {
  Process vireo(arguments({"--sandbox", "off"}));
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  auto status = status_of(fmt::format("/proc/{}/status", vireo.pid()));
  EXPECT_EQ(status["Seccomp"], status_of("/proc/self/status")["Seccomp"]);
  EXPECT_EQ(status["NoNewPrivs"], status_of("/proc/self/status")["NoNewPrivs"]);
  vireo.type("p");
  EXPECT_EQ(vireo.end(), 0);
}

TEST_P(Sandboxed, EverythingAMachineDoesIsAllowed) {
  Process vireo(arguments({"--cpus", "2", "--save-on", "SIGUSR1", state, "--sandbox", "report", "--verbose"}), true);
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  vireo.type("+rr+");
  ASSERT_TRUE(vireo.await("B1BB1")) << vireo.errors();
  vireo.signal(SIGUSR1);
  for (int i = 0; i < 1000 && vireo.errors().find("saved to") == std::string::npos; ++i) ::usleep(10'000);
  vireo.signal(SIGTSTP);  // its handler puts the terminal back and stops for good
  const auto stopped = [&] { return status_of(fmt::format("/proc/{}/status", vireo.pid()))["State"].starts_with('T'); };
  for (int i = 0; i < 1000 && !stopped(); ++i) ::usleep(10'000);
  EXPECT_FALSE(vireo.raw());
  vireo.signal(SIGCONT);
  for (int i = 0; i < 1000 && !vireo.raw(); ++i) ::usleep(10'000);
  vireo.type("+");
  ASSERT_TRUE(vireo.await("B1BB12")) << vireo.errors();
  vireo.signal(SIGTERM);
  vireo.type("a");
  ASSERT_TRUE(vireo.await("A")) << vireo.errors();
  vireo.signal(SIGTERM);
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  EXPECT_EQ(vireo.errors().find("sandbox"), std::string::npos) << vireo.errors();
  EXPECT_TRUE(std::filesystem::exists(state));
}

TEST_P(Sandboxed, ARebootNeedsTheKernelFileNoMore) {
  Process vireo(arguments());
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  std::filesystem::remove(kernel);
  vireo.type("r+p");
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  EXPECT_EQ(vireo.out(), "BB1");
}

}  // namespace
}  // namespace vireo::cli
