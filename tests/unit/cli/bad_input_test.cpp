// Whatever is wrong: one or two lines that name it, the right exit code, nothing half done.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "process.h"
#include "small_guest.h"

namespace vireo::cli {
namespace {

struct BadInput : testing::Test {
  Folder folder;
  std::string kernel = folder / "kernel", file = folder / "file";

  BadInput() { write_file(kernel, small_guest()); }

  void expect(std::vector<std::string> arguments, int code, const std::string& words) {
    arguments.insert(arguments.begin(), "run");
    Process vireo(arguments, true);
    EXPECT_EQ(vireo.end(), code) << vireo.errors();
    const auto errors = vireo.errors();
    EXPECT_NE(errors.find(words), std::string::npos) << errors;
    const auto lines = std::count(errors.begin(), errors.end(), '\n');
    EXPECT_TRUE(lines == 1 || lines == 2) << errors;
    EXPECT_EQ(vireo.out(), "");
  }
  void expect_kernel(int code, const std::string& words) { expect({"--kernel", file}, code, words); }
  void write(const std::string& text) { std::ofstream(file, std::ios::binary) << text; }
};

TEST_F(BadInput, Kernels) {
  expect({}, 2, "--kernel");
  expect({"--kernel", folder / "missing"}, 3, "missing");
  expect({"--kernel", folder / ""}, 2, "directory");
  write("");
  expect_kernel(2, file);
  write("this is a text and no kernel at all");
  expect_kernel(2, file);
  auto bytes = small_guest();
  for (const std::size_t length : {std::size_t{10}, std::size_t{64}, std::size_t{100}, std::size_t{0x1001}}) {
    write_file(file, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)});
    expect_kernel(2, file);
  }
}

TEST_F(BadInput, Initrds) {
  expect({"--kernel", kernel, "--initrd", folder / "missing"}, 3, "missing");
  write("");
  expect({"--kernel", kernel, "--initrd", file}, 2, file);
  std::filesystem::resize_file(file, 64 << 20);
  expect({"--kernel", kernel, "--initrd", file, "--memory", "32M"}, 2, "32 MiB");
}

TEST_F(BadInput, FilesWithoutPermission) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  std::filesystem::permissions(kernel, std::filesystem::perms::none);
  expect({"--kernel", kernel}, 5, kernel);
}

TEST_F(BadInput, MemoryAndCpuCounts) {
  for (const char* memory :
       {"0", "1", "512", "1M", "16777217", "9999T", "99999999999999999999", "-1", "lots", "1.5G"}) {
    expect({"--kernel", kernel, std::string("--memory=") + memory}, 2, "memory");
  }
  expect({"--kernel", kernel, "--cpu", "z80"}, 2, "x86-64-v3");
  expect({"--kernel", kernel, "--cpu", ""}, 2, "empty");
  for (const char* cpus : {"0", "1000", "99999999999", "-1", "two"}) {
    expect({"--kernel", kernel, std::string("--cpus=") + cpus}, 2,
           cpus[0] == '-' || cpus[0] == 't' ? "whole number" : "CPU");
  }
}

TEST_F(BadInput, Engines) { expect({"--kernel", kernel, "--engine", "warp"}, 2, "warp"); }

TEST_F(BadInput, ConfigurationFiles) {
  expect({"--config", folder / "missing"}, 3, "missing");
  write("kernel = \"a\"\nmemory = \n");
  expect({"--config", file}, 2, file + ":2:");
  write("kernel = \"a\"\nmemroy = \"1G\"\n");
  expect({"--config", file}, 2, file + ":2:1: there is no option \"memroy\"");
}

TEST_F(BadInput, StateFiles) {
  expect({"--restore", folder / "missing"}, 3, "missing");
  write("");
  expect({"--restore", file}, 2, "not a state file");
  write("this is no state file");
  expect({"--restore", file}, 2, "not a state file");

  const auto state = folder / "state";
  Process vireo({"run", "--kernel", kernel, "--engine", "interpret", "--memory", "16M", "--save-on", "SIGUSR1", state,
                 "--after-save", "stop"});
  ASSERT_TRUE(vireo.await("B"));
  vireo.signal(SIGUSR1);
  ASSERT_EQ(vireo.end(), 0) << vireo.errors();
  std::ifstream in(state, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});

  for (const std::size_t length : {good.size() - 1, good.size() / 2, std::size_t{20}, std::size_t{9}}) {
    write(good.substr(0, length));
    expect({"--restore", file}, 2, "cut off");
  }
  for (const std::size_t at : {good.size() / 3, good.size() - 4, std::size_t{30}}) {
    auto bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    write(bad);
    expect({"--restore", file}, 2, "corrupt");
  }
  expect({"--restore", state, "--memory", "32M"}, 2, "16 MiB");
  expect({"--restore", state, "--cpus", "2"}, 2, "--cpus");
  expect({"--restore", state, "--cpu", "z80"}, 2, "--cpu:");
  expect({"--restore", state, "--initrd", kernel}, 2, "--initrd");
}

TEST_F(BadInput, StatisticsFiles) {
  expect({"--kernel", kernel, "--stats", folder / "no/such/folder"}, 3, "no/such/folder");
  expect({"--kernel", kernel, "--stats", "/dev/null"}, 2, "regular file");
  expect({"--kernel", kernel, "--stats", file, "--save-on", "SIGUSR2", folder / "state"}, 2, "SIGUSR2");
}

TEST_F(BadInput, SaveFilesThatCannotBeWritten) {
  expect({"--kernel", kernel, "--save-on", "SIGUSR1", folder / "no/such/folder"}, 3, "no/such/folder");
  expect({"--kernel", kernel, "--save-on", "SIGUSR1", "/dev/null"}, 2, "regular file");

  const auto gone = folder / "gone";
  std::filesystem::create_directory(gone);
  Process vireo({"run", "--kernel", kernel, "--engine", "interpret", "--save-on", "SIGUSR1", gone + "/state"});
  ASSERT_TRUE(vireo.await("B"));
  std::filesystem::remove(gone);
  vireo.signal(SIGUSR1);
  vireo.type("+");
  ASSERT_TRUE(vireo.await("B1"));
  vireo.type("p");
  EXPECT_EQ(vireo.end(), 0);
  EXPECT_NE(vireo.errors().find("not saved"), std::string::npos) << vireo.errors();
}

}  // namespace
}  // namespace vireo::cli
