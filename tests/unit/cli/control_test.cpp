// `vireo run --control`: what a program can do with the machine over the socket.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "process.h"
#include "small_guest.h"
#include "support/qmp_client.h"

namespace vireo::cli {
namespace {

using Json = nlohmann::json;

/// Connected and ready.
struct Client : test::QmpClient {
  explicit Client(const std::string& path) : QmpClient(path) { begin(); }
};

const Json kDone = {{"return", Json::object()}};

struct Controlled : testing::Test {
  Folder folder;
  std::string kernel = folder / "kernel", socket = folder / "socket", state = folder / "state";

  void SetUp() override { write_file(kernel, small_guest()); }
  std::vector<std::string> arguments(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"run",      "--engine", "interpret", "--kernel", kernel,
                                    "--memory", "16M",      "--control", socket};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(Controlled, AStoppedGuestDoesNothingUntilItContinues) {
  Process vireo(arguments());
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  Client client(socket);
  EXPECT_EQ(client.ask("query-status")["return"], (Json{{"running", true}, {"status", "running"}}));
  EXPECT_EQ(client.ask("stop"), kDone);
  EXPECT_EQ(client.ask("query-status")["return"], (Json{{"running", false}, {"status", "paused"}}));
  vireo.type("+");
  ::usleep(200'000);
  EXPECT_EQ(vireo.out(), "B");
  EXPECT_EQ(client.ask("cont"), kDone);
  EXPECT_TRUE(vireo.await("B1")) << vireo.errors();
  EXPECT_EQ(client.event_names(), (std::vector<std::string>{"STOP", "RESUME"}));
  EXPECT_EQ(client.ask("quit"), kDone);
  const auto last = client.hear();
  EXPECT_EQ(last["event"], "SHUTDOWN");
  EXPECT_EQ(last["data"], (Json{{"guest", false}, {"reason", "host-qmp-quit"}}));
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  EXPECT_FALSE(std::filesystem::exists(socket));
}

TEST_F(Controlled, TheButtonAndAResetReachTheGuest) {
  Process vireo(arguments());
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  Client client(socket);
  EXPECT_EQ(client.ask("system_powerdown"), kDone);
  vireo.type("a");
  EXPECT_TRUE(vireo.await("BA")) << vireo.errors();
  EXPECT_EQ(client.ask("system_reset"), kDone);
  EXPECT_TRUE(vireo.await("BAB")) << vireo.errors();
  EXPECT_EQ(client.event_names(), (std::vector<std::string>{"POWERDOWN", "RESET"}));
  vireo.type("p");
  const auto last = client.hear();
  EXPECT_EQ(last["event"], "SHUTDOWN");
  EXPECT_EQ(last["data"], (Json{{"guest", true}, {"reason", "guest-shutdown"}}));
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
}

TEST_F(Controlled, AStoppedMachineCanBeSavedAndWhatIsRestoredRuns) {
  Process vireo(arguments({"--save-on", "SIGUSR1", state}));
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  Client client(socket);
  EXPECT_EQ(client.ask("stop"), kDone);
  vireo.signal(SIGUSR1);
  for (int i = 0; i < 1000 && !std::filesystem::exists(state); ++i) ::usleep(10'000);
  EXPECT_EQ(client.ask("query-status")["return"]["status"], "paused");
  EXPECT_EQ(client.ask("quit"), kDone);
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  Process restored({"run", "--engine", "interpret", "--restore", state});
  restored.type("+p");
  EXPECT_EQ(restored.end(), 0) << restored.errors();
  EXPECT_EQ(restored.out(), "1");
}

TEST_F(Controlled, FilesCanBePassedIntoTheSandbox) {
  Process vireo(arguments());
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  Client client(socket);
  EXPECT_TRUE(client.ask("add-fd").contains("error"));
  const host::Fd file(::open(kernel.c_str(), O_RDONLY | O_CLOEXEC));
  client.say_with(R"({"execute": "add-fd", "arguments": {"fdset-id": 7, "opaque": "kernel"}})", file.get());
  const auto answer = client.hear()["return"];
  EXPECT_EQ(answer["fdset-id"], 7);
  const auto link = fmt::format("/proc/{}/fd/{}", vireo.pid(), answer["fd"].get<int>());
  EXPECT_EQ(std::filesystem::read_symlink(link), kernel);
  const Json sets = {{{"fdset-id", 7}, {"fds", {{{"fd", answer["fd"]}, {"opaque", "kernel"}}}}}};
  EXPECT_EQ(client.ask("query-fdsets")["return"], sets);
  EXPECT_EQ(client.ask("remove-fd", {{"fdset-id", 7}}), kDone);
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(link)));
  EXPECT_TRUE(client.ask("remove-fd", {{"fdset-id", 7}}).contains("error"));
  EXPECT_EQ(client.ask("quit"), kDone);
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
}

TEST_F(Controlled, DevicesThatAreNotThereAreRefused) {
  Process vireo(arguments());
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  Client client(socket);
  EXPECT_EQ(client.ask("device_add", {{"driver", "floppy"}, {"id", "a"}})["error"]["class"], "GenericError");
  EXPECT_EQ(client.ask("device_del", {{"id", "a"}})["error"]["class"], "DeviceNotFound");
  EXPECT_EQ(client.ask("quit"), kDone);
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
}

TEST_F(Controlled, EveryCpuHasAThreadOfTheProcess) {
  Process vireo(arguments({"--cpus", "3"}));
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  const auto answer = Client(socket).ask("query-cpus-fast");
  ASSERT_EQ(answer["return"].size(), 3u);
  for (const auto& cpu : answer["return"]) {
    EXPECT_TRUE(std::filesystem::exists(fmt::format("/proc/{}/task/{}", vireo.pid(), cpu["thread-id"].get<int>())));
  }
}

TEST_F(Controlled, ASocketThatIsInUseIsRefused) {
  Process first(arguments());
  ASSERT_TRUE(first.await("B")) << first.errors();
  Process second(arguments());
  EXPECT_EQ(second.end(), 4);
  EXPECT_NE(second.errors().find("another process listens"), std::string::npos) << second.errors();
  EXPECT_EQ(Client(socket).ask("quit"), kDone);
  EXPECT_EQ(first.end(), 0);
}

TEST_F(Controlled, TheSocketOfAKilledMachineIsTakenOver) {
  {
    Process first(arguments());
    ASSERT_TRUE(first.await("B")) << first.errors();
  }
  EXPECT_TRUE(std::filesystem::exists(socket));
  Process second(arguments());
  ASSERT_TRUE(second.await("B")) << second.errors();
  EXPECT_EQ(Client(socket).ask("quit"), kDone);
  EXPECT_EQ(second.end(), 0);
}

}  // namespace
}  // namespace vireo::cli
