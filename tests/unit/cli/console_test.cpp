// Where serial ports go: the option's words, and what `vireo run` does with them.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/console_option.h"
#include "process.h"
#include "small_guest.h"
#include "support/qmp_client.h"

namespace vireo::cli {
namespace {

using Kind = vmm::Console::Kind;

TEST(ConsoleOption, SaysWhereAPortGoes) {
  const auto is = [](const char* text, Kind kind, std::string path) {
    const auto console = parse_console(text);
    ASSERT_TRUE(console) << text << ": " << console.error().message;
    EXPECT_EQ(console->kind, kind) << text;
    EXPECT_EQ(console->path, path) << text;
  };
  is("stdio", Kind::Stdio, "");
  is("none", Kind::None, "");
  is("pty", Kind::Pty, "");
  is("file:a,b=c", Kind::File, "a,b=c");
  is("file,path=a b", Kind::File, "a b");
  is("file,path=a,,b", Kind::File, "a,b");
  is("socket,path=/run/x", Kind::Socket, "/run/x");
  is("socket:/run/x", Kind::Socket, "/run/x");
  for (const char* wrong : {"", "tty", "file", "file:", "socket", "socket,path=", "socket,mode=1", "pty,path=x",
                            "stdio=x", "file,path=a,b=c"}) {
    EXPECT_FALSE(parse_console(wrong)) << wrong;
  }
}

/// What can be read until `end` comes, ten seconds at most.
std::string read_until(const host::Fd& fd, std::string_view end) {
  std::string text;
  pollfd ready{fd.get(), POLLIN, 0};
  while (text.find(end) == text.npos && ::poll(&ready, 1, 10'000) == 1) {
    char more[4096];
    const auto count = ::read(fd.get(), more, sizeof more);
    if (count <= 0) break;
    text.append(more, static_cast<std::size_t>(count));
  }
  return text;
}

struct Consoles : testing::Test {
  Folder folder;
  std::string kernel = folder / "kernel", control = folder / "control", console = folder / "console";

  void SetUp() override { write_file(kernel, small_guest()); }
  std::vector<std::string> arguments(std::vector<std::string> more) const {
    std::vector<std::string> all = {"run",      "--engine", "interpret", "--kernel", kernel,
                                    "--memory", "16M",      "--control", control};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  test::QmpClient client() const {
    for (int i = 0; i < 1000 && ::access(control.c_str(), F_OK) != 0; ++i) ::usleep(10'000);
    test::QmpClient made(control);
    made.begin();
    return made;
  }
  static void await_log(test::QmpClient& client, const std::string& text) {
    for (int i = 0; i < 1000; ++i) {
      if (client.get("query-console-log", {{"device", "serial0"}})["data"] == text) return;
      ::usleep(10'000);
    }
    FAIL() << client.get("query-console-log", {{"device", "serial0"}});
  }
};

TEST_F(Consoles, TheLogIsKeptThoughNobodyListens) {
  Process vireo(arguments({"--console", "none"}));
  auto qmp = client();
  await_log(qmp, "B");
  EXPECT_EQ(qmp.get("query-console-log", {{"device", "serial0"}, {"format", "base64"}})["data"], "Qg==");
  const auto rest = qmp.get("query-console-log", {{"device", "serial0"}, {"from", 1}});
  EXPECT_EQ(rest, nlohmann::json::parse(R"({"data": "", "from": 1, "next": 1, "end": 1})"));
  EXPECT_TRUE(qmp.ask("query-console-log", {{"device", "serial9"}}).contains("error"));
  EXPECT_TRUE(qmp.ask("query-console-log", {{"device", "serial0"}, {"size", 0}}).contains("error"));
  EXPECT_TRUE(qmp.ask("query-console-log", {{"device", "serial0"}, {"format", "hex"}}).contains("error"));
  EXPECT_TRUE(qmp.ask("quit").contains("return"));
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
}

TEST_F(Consoles, APseudoTerminalIsNamedAndWorksInTheSandbox) {
  Process vireo(arguments({"--console", "pty"}));
  auto qmp = client();
  await_log(qmp, "B");
  const auto device = qmp.get("query-chardev")[0];
  EXPECT_EQ(device["label"], "serial0");
  EXPECT_EQ(device["frontend-open"], false);
  const auto place = device["filename"].get<std::string>();
  ASSERT_TRUE(place.starts_with("pty:/dev/pts/")) << place;
  EXPECT_NE(vireo.errors().find("serial0 is at " + place.substr(4)), std::string::npos) << vireo.errors();
  const host::Fd terminal(::open(place.c_str() + 4, O_RDWR | O_NOCTTY));
  ASSERT_TRUE(terminal);
  for (int i = 0; i < 1000 && qmp.get("query-chardev")[0]["frontend-open"] == false; ++i) ::usleep(10'000);
  ASSERT_EQ(::write(terminal.get(), "+", 1), 1);
  EXPECT_EQ(read_until(terminal, "1"), "1");
  ASSERT_EQ(::write(terminal.get(), "p", 1), 1);
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
}

TEST_F(Consoles, ASocketWorksInTheSandboxAndItsNameGoes) {
  Process vireo(arguments({"--console", "socket,path=" + console}));
  auto qmp = client();
  await_log(qmp, "B");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, console.data(), console.size());
  const host::Fd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::write(socket.get(), "+", 1), 1);
  EXPECT_EQ(read_until(socket, "1"), "1");
  ASSERT_EQ(::write(socket.get(), "p", 1), 1);
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
  EXPECT_NE(::access(console.c_str(), F_OK), 0);
}

TEST_F(Consoles, AMachineHasSeveralSerialPorts) {
  Process vireo(arguments({"--serial", "pty", "--serial", "none", "--serial", "file,path=" + console}));
  ASSERT_TRUE(vireo.await("B")) << vireo.errors();
  auto qmp = client();
  std::vector<std::string> places;
  const auto devices = qmp.get("query-chardev");
  for (const auto& device : devices) places.push_back(device["filename"]);
  ASSERT_EQ(places.size(), 4u);
  EXPECT_EQ(places[0], "stdio");
  EXPECT_TRUE(places[1].starts_with("pty:"));
  EXPECT_EQ(places[2], "null");
  EXPECT_EQ(places[3], "file:" + console);
  vireo.type("p");
  EXPECT_EQ(vireo.end(), 0) << vireo.errors();
}

TEST_F(Consoles, TooManyPortsOrTwoOnOneTerminalAreRefused) {
  const auto refused = [&](std::vector<std::string> more, const char* words) {
    Process vireo(arguments(std::move(more)));
    EXPECT_EQ(vireo.end(), 2);
    EXPECT_NE(vireo.errors().find(words), std::string::npos) << vireo.errors();
  };
  refused({"--serial", "none", "--serial", "none", "--serial", "none", "--serial", "none"}, "at most 4 serial ports");
  refused({"--serial", "stdio"}, "taken by another serial port");
}

}  // namespace
}  // namespace vireo::cli
