#include "chardev/socket/socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>

#include "support/loop_thread.h"

namespace vireo::chardev {
namespace {

using test::bytes, test::read_until, test::soon;

struct Sockets : testing::Test {
  std::string folder = std::filesystem::temp_directory_path() / "vireo-console-XXXXXX";
  test::LoopThread thread;
  std::unique_ptr<SocketChannel> channel;
  test::EagerSink sink;

  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    channel = *SocketChannel::create(*thread.loop, folder + "/socket");
    channel->set_sink(&sink);
  }
  void TearDown() override {
    channel->set_sink(nullptr);
    channel.reset();
    std::filesystem::remove_all(folder);
  }
  host::Fd connect() {
    const std::string path = folder + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    host::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_TRUE(soon([&] { return channel->connected(); }));
    return socket;
  }
};

TEST_F(Sockets, BytesGoBothWays) {
  const auto person = connect();
  EXPECT_TRUE(channel->write(bytes("login: ")));
  EXPECT_EQ(read_until(person, "login: "), "login: ");
  ASSERT_EQ(::write(person.get(), "root\r", 5), 5);
  EXPECT_TRUE(soon([&] { return sink.taken() == "root\r"; }));
}

TEST_F(Sockets, WhatIsSaidToNobodyIsGone) {
  EXPECT_LT(test::flood(*channel, 1'000'000), 1.0);
  const auto person = connect();
  channel->write(bytes("hello"));
  EXPECT_EQ(read_until(person, "hello"), "hello");
}

TEST_F(Sockets, SomebodyMayLeaveAndComeBack) {
  for (const char* text : {"one", "two", "three"}) {
    auto person = connect();
    channel->write(bytes(text));
    EXPECT_EQ(read_until(person, text), text);
    {
      host::Fd leaves = std::move(person);
    }
    EXPECT_TRUE(soon([&] { return !channel->connected(); }));
  }
}

TEST_F(Sockets, WhoComesLaterTakesItOver) {
  const auto first = connect();
  channel->write(bytes("one"));
  EXPECT_EQ(read_until(first, "one"), "one");
  const auto second = connect();
  EXPECT_EQ(read_until(first, "never"), "") << "closed";
  EXPECT_TRUE(soon([&] { return channel->connected(); }));
  channel->write(bytes("two"));
  EXPECT_EQ(read_until(second, "two"), "two");
  ASSERT_EQ(::write(second.get(), "x", 1), 1);
  EXPECT_TRUE(soon([&] { return sink.taken() == "x"; }));
}

TEST_F(Sockets, OneWhoTakesNothingHoldsNobodyUpForLong) {
  const auto deaf = connect();
  EXPECT_LT(test::flood(*channel, 4'000'000), 2.0);
  EXPECT_TRUE(soon([&] { return sink.ready > 0; }));
  const auto begin = std::chrono::steady_clock::now();
  test::flood(*channel, 4'000'000);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1)) << "dropped from then on";
}

TEST_F(Sockets, OneWhoListensAgainHearsWhatIsSaidThen) {
  const auto person = connect();
  test::flood(*channel, 4'000'000);
  EXPECT_TRUE(soon([&] { return sink.ready > 0; }));
  std::string heard;
  // What was on its way; then there is room again.
  EXPECT_TRUE(soon([&] {
    channel->write(bytes("!"));
    pollfd ready{person.get(), POLLIN, 0};
    while (::poll(&ready, 1, 0) == 1) {
      char more[65536];
      const auto count = ::read(person.get(), more, sizeof more);
      if (count <= 0) return false;
      heard.append(more, static_cast<std::size_t>(count));
    }
    return heard.find('!') != heard.npos;
  }));
}

TEST_F(Sockets, AGuestThatWasHeldBackGoesOnWhenTheReaderLeaves) {
  auto deaf = connect();
  while (channel->write(bytes(std::string(1000, 'x')))) {
  }
  const int before = sink.ready;
  {
    host::Fd leaves = std::move(deaf);
  }
  EXPECT_TRUE(soon([&] { return sink.ready > before; }));
  EXPECT_TRUE(soon([&] { return channel->write(bytes("x")); }));
}

}  // namespace
}  // namespace vireo::chardev
