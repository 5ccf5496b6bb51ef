#include "chardev/pty/pty.h"

#include <fcntl.h>
#include <termios.h>

#include "support/loop_thread.h"

namespace vireo::chardev {
namespace {

using test::bytes, test::read_until, test::soon;

struct Terminals : testing::Test {
  test::LoopThread thread;
  std::unique_ptr<PtyChannel> channel = *PtyChannel::create(*thread.loop);
  test::EagerSink sink;

  void SetUp() override { channel->set_sink(&sink); }
  void TearDown() override {
    channel->set_sink(nullptr);
    channel.reset();
  }
  host::Fd open() {
    host::Fd terminal(::open(channel->path().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    EXPECT_TRUE(terminal) << channel->path();
    EXPECT_TRUE(soon([&] { return channel->connected(); }));
    return terminal;
  }
};

TEST_F(Terminals, ATerminalIsRawAndBytesGoBothWays) {
  const auto person = open();
  termios mode{};
  ASSERT_EQ(::tcgetattr(person.get(), &mode), 0);
  EXPECT_EQ(mode.c_lflag & (ICANON | ECHO | ISIG), 0u);
  EXPECT_TRUE(channel->write(bytes("login:\n")));
  EXPECT_EQ(read_until(person, "\n"), "login:\n");
  ASSERT_EQ(::write(person.get(), "a\rb\x03", 4), 4);
  EXPECT_TRUE(soon([&] { return sink.taken() == "a\rb\x03"; })) << sink.taken();
}

TEST_F(Terminals, WhatIsSaidToNobodyIsGone) {
  EXPECT_FALSE(channel->connected());
  EXPECT_LT(test::flood(*channel, 1'000'000), 1.0);
  const auto person = open();
  channel->write(bytes("hello"));
  EXPECT_EQ(read_until(person, "hello"), "hello");
}

TEST_F(Terminals, SomebodyMayCloseItAndOpenItAgain) {
  for (const char* text : {"one", "two", "three"}) {
    auto person = open();
    channel->write(bytes(text));
    EXPECT_EQ(read_until(person, text), text);
    {
      host::Fd leaves = std::move(person);
    }
    EXPECT_TRUE(soon([&] { return !channel->connected(); }));
  }
}

TEST_F(Terminals, OneWhoTakesNothingHoldsNobodyUpForLong) {
  const auto deaf = open();
  EXPECT_LT(test::flood(*channel, 1'000'000), 2.0);
  EXPECT_TRUE(soon([&] { return sink.ready > 0; }));
  const auto begin = std::chrono::steady_clock::now();
  test::flood(*channel, 4'000'000);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1)) << "dropped from then on";
}

}  // namespace
}  // namespace vireo::chardev
