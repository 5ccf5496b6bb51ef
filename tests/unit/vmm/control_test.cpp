#include "vmm/control_commands.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "support/qmp_client.h"

namespace vireo::vmm {
namespace {

using api::Json;

using Client = test::QmpClient;

/// Talks until the socket takes no more: how many bytes it took.
std::size_t say_without_listening(Client& client, const std::string& text) {
  std::size_t total = 0;
  for (pollfd ready{client.socket().get(), POLLOUT, 0}; ::poll(&ready, 1, 300) == 1;) {
    const auto count = ::send(client.socket().get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count <= 0) break;
    total += static_cast<std::size_t>(count);
  }
  return total;
}

struct Sockets : testing::Test {
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "vireo-control-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    path = folder + "/socket";
    control = *Control::create(*loop, path);
    control->commands().add({"count", {}, [this](const api::Arguments&) -> api::Answer { return Json(++count); }});
    control->commands().add(
        {"long", {}, [](const api::Arguments&) -> api::Answer { return std::string(60'000, 'x'); }});
    control->commands().add({"shout", {}, [this](const api::Arguments&) -> api::Answer {
                               control->announce("SHOUTED");
                               return Json::object();
                             }});
    thread = std::thread([this] { loop->run(); });
  }
  void TearDown() override {
    loop->stop();
    thread.join();
    control.reset();
    std::filesystem::remove_all(folder);
  }
  void announce(const char* event, unsigned times) {
    loop->post([=, this] {
      for (unsigned i = 0; i < times; ++i) control->announce(event, {{"padding", std::string(1000, 'p')}});
    });
  }

  std::string folder, path;
  std::unique_ptr<host::Loop> loop = *host::Loop::create();
  std::unique_ptr<Control> control;
  std::thread thread;
  std::atomic<int> count = 0;
};

TEST_F(Sockets, SeveralClientsTalkIndependently) {
  Client a(path), b(path);
  a.begin();
  EXPECT_TRUE(b.hear().contains("QMP"));
  EXPECT_EQ(b.ask("count")["error"]["class"], "CommandNotFound");
  EXPECT_EQ(a.ask("count")["return"], 1);
  EXPECT_TRUE(b.ask("qmp_capabilities").contains("return"));
  EXPECT_EQ(b.ask("count")["return"], 2);
}

TEST_F(Sockets, AnEventReachesEveryClientAndComesBeforeTheAnswer) {
  Client a(path), b(path);
  a.begin();
  b.begin();
  EXPECT_TRUE(a.ask("shout").contains("return"));
  EXPECT_EQ(a.event_names(), std::vector<std::string>{"SHOUTED"});
  EXPECT_EQ(b.hear()["event"], "SHOUTED");
}

TEST_F(Sockets, CommandsInOneMessageAreAnsweredInOrder) {
  Client client(path);
  client.begin();
  std::string many;
  for (int i = 0; i < 1000; ++i) many += R"({"execute": "count"})";
  client.say(many);
  for (int i = 1; i <= 1000; ++i) ASSERT_EQ(client.hear()["return"], i);
}

TEST_F(Sockets, AClientThatHasSaidAllStillHearsTheAnswer) {
  Client client(path);
  client.say(R"({"execute": "qmp_capabilities"}{"execute": "count"})");
  ::shutdown(client.socket().get(), SHUT_WR);
  EXPECT_TRUE(client.hear().contains("QMP"));
  EXPECT_TRUE(client.hear().contains("return"));
  EXPECT_EQ(client.hear()["return"], 1);
  EXPECT_TRUE(client.hear().is_null());
  EXPECT_TRUE(client.ended);
}

TEST_F(Sockets, AClientThatTakesNoAnswersIsNotListenedTo) {
  Client deaf(path), other(path);
  deaf.begin();
  other.begin();
  const auto said = say_without_listening(deaf, R"({"execute": "long"}{"execute": "count"})");
  EXPECT_LT(said, 2'000'000u);
  EXPECT_LT(count, 100) << "answers of commands that nobody could have sent";
  EXPECT_TRUE(other.ask("count").contains("return"));
}

TEST_F(Sockets, AClientThatLeavesEventsLyingIsDisconnected) {
  Client deaf(path), other(path);
  deaf.begin();
  other.begin();
  announce("NOISE", 600);
  for (int i = 0; i < 600; ++i) ASSERT_EQ(other.hear()["event"], "NOISE");
  EXPECT_FALSE(deaf.ended);
  for (int round = 0; round < 4; ++round) {
    announce("NOISE", 600);
    for (int i = 0; i < 600; ++i) ASSERT_EQ(other.hear()["event"], "NOISE");
  }
  pollfd left{deaf.socket().get(), POLLHUP, 0};
  for (int i = 0; i < 1000 && (left.revents & POLLHUP) == 0; ++i) {
    ::poll(&left, 1, 0);
    ::usleep(10'000);
  }
  EXPECT_NE(left.revents & POLLHUP, 0) << "without its having listened";
  while (!deaf.hear().is_null()) {
  }
  EXPECT_TRUE(deaf.ended);
  EXPECT_TRUE(other.ask("count").contains("return"));
}

TEST_F(Sockets, AClientTooManyWaitsUntilOneLeaves) {
  std::list<Client> clients;
  for (std::size_t i = 0; i < Control::kMaxClients; ++i) clients.emplace_back(path).begin();
  Client late(path);
  EXPECT_EQ(clients.back().ask("count")["return"], 1);
  clients.pop_front();
  late.begin();
  EXPECT_EQ(late.ask("count")["return"], 2);
}

TEST(Control, NamesEveryTurnOfALifeAsQmpDoes) {
  std::string folder = std::filesystem::temp_directory_path() / "vireo-control-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const auto loop = *host::Loop::create();
  const auto control = *Control::create(*loop, folder + "/socket");
  Client client(folder + "/socket");
  std::thread thread([&] { loop->run(); });
  client.begin();
  using Kind = LifeEvent::Kind;
  struct Said {
    LifeEvent event;
    const char* name;
    const char* data;
  };
  for (const auto& [event, name, data] :
       {Said{{Kind::Paused}, "STOP", "null"}, Said{{Kind::GoesOn}, "RESUME", "null"},
        Said{{Kind::ButtonPressed}, "POWERDOWN", "null"},
        Said{{Kind::Reset, Cause::GuestReset}, "RESET", R"({"guest": true, "reason": "guest-reset"})"},
        Said{{Kind::Reset, Cause::ControlReset}, "RESET", R"({"guest": false, "reason": "host-qmp-system-reset"})"},
        Said{{Kind::Stopped, Cause::GuestShutdown}, "SHUTDOWN", R"({"guest": true, "reason": "guest-shutdown"})"},
        Said{{Kind::Stopped, Cause::GuestPanic}, "SHUTDOWN", R"({"guest": true, "reason": "guest-panic"})"},
        Said{{Kind::Stopped, Cause::HostError}, "SHUTDOWN", R"({"guest": false, "reason": "host-error"})"},
        Said{{Kind::Stopped, Cause::HostSignal}, "SHUTDOWN", R"({"guest": false, "reason": "host-signal"})"},
        Said{{Kind::Stopped, Cause::HostUi}, "SHUTDOWN", R"({"guest": false, "reason": "host-ui"})"},
        Said{{Kind::Stopped, Cause::ControlQuit}, "SHUTDOWN", R"({"guest": false, "reason": "host-qmp-quit"})"}}) {
    loop->post([&control, event] { announce(*control, event); });
    const auto heard = client.hear();
    EXPECT_EQ(heard["event"], name);
    EXPECT_EQ(heard.value("data", Json()), Json::parse(data));
  }
  loop->stop();
  thread.join();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace vireo::vmm
