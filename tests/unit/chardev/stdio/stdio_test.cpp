// Each case runs in a child process whose standard streams are a pseudo terminal or pipes, as the program's would be.
#include "chardev/stdio/stdio.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

namespace vireo::chardev {
namespace {

// Sends every byte back.
struct Echo final : ByteSink {
  explicit Echo(ByteChannel& to) : channel(to) { channel.set_sink(this); }
  ~Echo() override { channel.set_sink(nullptr); }
  std::size_t room() override { return 16; }
  void receive(std::span<const u8> bytes) override { channel.write(bytes); }
  void output_ready() override {}
  ByteChannel& channel;
};

// Exits with 7 after Ctrl-].
[[noreturn]] void echo_until_left() {
  auto loop = std::move(*host::Loop::create());
  {
    auto channel = std::move(*StdioChannel::create(*loop, [&] { loop->stop(); }));
    const Echo echo(*channel);
    loop->run();
  }
  std::exit(7);
}

class Terminal : public testing::Test {
 protected:
  void start(const std::function<void()>& program) {
    int slave = -1;
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    terminal = slave;
    ASSERT_EQ(::tcgetattr(terminal, &before), 0);
    child = ::fork();
    if (child == 0) {
      ::login_tty(::dup(slave));
      program();
      std::_Exit(0);
    }
  }
  // Reads from the terminal until `text` was there.
  bool expect(const std::string& text) {
    pollfd wait{.fd = master, .events = POLLIN, .revents = 0};
    while (screen.find(text) == std::string::npos) {
      char buffer[512];
      if (::poll(&wait, 1, 5000) <= 0) return false;
      const ssize_t count = ::read(master, buffer, sizeof buffer);
      if (count <= 0) return false;
      screen.append(buffer, static_cast<std::size_t>(count));
    }
    return true;
  }
  void type(const std::string& text) {
    ASSERT_EQ(::write(master, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  int wait_for_end() {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }
  bool mode_is_as_before() {
    termios now{};
    EXPECT_EQ(::tcgetattr(terminal, &now), 0);
    return now.c_lflag == before.c_lflag && now.c_iflag == before.c_iflag && now.c_oflag == before.c_oflag;
  }
  void TearDown() override {
    ::close(master);
    ::close(terminal);
  }

  int master = -1, terminal = -1;
  termios before{};
  pid_t child = -1;
  std::string screen;
};

TEST_F(Terminal, EveryKeyGoesThroughAndCtrlBracketLeaves) {
  start([] { echo_until_left(); });
  ASSERT_TRUE(expect("Press Ctrl-] to leave."));
  screen.clear();
  type("a\x03\x1A\x04\rz");
  EXPECT_TRUE(expect("a\x03\x1A\x04\rz"));
  EXPECT_FALSE(mode_is_as_before());
  type("\x1D");
  const int status = wait_for_end();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  EXPECT_TRUE(mode_is_as_before());
}

TEST_F(Terminal, IsRestoredByExit) {
  start([] {
    static const auto raw = RawTerminal::enter(0);
    ::write(1, "raw", 3);
    std::exit(3);
  });
  ASSERT_TRUE(expect("raw"));
  EXPECT_EQ(WEXITSTATUS(wait_for_end()), 3);
  EXPECT_TRUE(mode_is_as_before());
}

TEST_F(Terminal, IsRestoredWhenASignalEndsTheProcess) {
  for (const int signo : {SIGTERM, SIGINT, SIGABRT, SIGQUIT}) {
    screen.clear();
    start([] {
      const auto raw = RawTerminal::enter(0);
      ::write(1, "raw", 3);
      for (;;) ::pause();
    });
    ASSERT_TRUE(expect("raw"));
    EXPECT_FALSE(mode_is_as_before());
    ::kill(child, signo);
    const int status = wait_for_end();
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signo) << signo;
    EXPECT_TRUE(mode_is_as_before()) << signo;
    TearDown();
  }
  start([] {});
  wait_for_end();
}

TEST_F(Terminal, IsRawAgainAfterAStop) {
  start([] {
    const auto raw = RawTerminal::enter(0);
    ::write(1, "raw", 3);
    for (;;) ::pause();
  });
  ASSERT_TRUE(expect("raw"));
  ::kill(child, SIGTSTP);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  EXPECT_TRUE(mode_is_as_before());
  ::kill(child, SIGCONT);
  for (int i = 0; i < 1000 && mode_is_as_before(); ++i) ::usleep(1000);
  EXPECT_FALSE(mode_is_as_before());
  ::kill(child, SIGKILL);
  wait_for_end();
}

TEST_F(Terminal, IsLeftAloneByAProcessInTheBackground) {
  start([] {
    const pid_t job = ::fork();
    if (job == 0) {
      ::setpgid(0, 0);
      std::_Exit(RawTerminal::enter(0) == nullptr ? 5 : 6);
    }
    ::setpgid(job, job);
    int status = 0;
    ::waitpid(job, &status, WUNTRACED);
    std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
  });
  EXPECT_EQ(WEXITSTATUS(wait_for_end()), 5);
}

// Runs the echo with these as its standard input and output.
pid_t start_with(int in, int out) {
  const pid_t child = ::fork();
  if (child == 0) {
    in < 0 ? ::close(0) : ::dup2(in, 0);
    out < 0 ? ::close(1) : ::dup2(out, 1);
    ::close_range(3, 100, 0);
    ::alarm(20);
    auto loop = std::move(*host::Loop::create());
    {
      auto channel = std::move(*StdioChannel::create(*loop, [] { std::_Exit(9); }));
      const Echo echo(*channel);
      auto timer = loop->make_timer([&] { loop->stop(); });
      timer->arm(host::Loop::now_ns() + 300'000'000);
      loop->run();
    }
    std::_Exit(7);
  }
  return child;
}

TEST(WithoutATerminal, BytesGoThroughUnchanged) {
  int in[2], out[2];
  ASSERT_EQ(::pipe(in), 0);
  ASSERT_EQ(::pipe(out), 0);
  const pid_t child = start_with(in[0], out[1]);
  ::close(in[0]);
  ::close(out[1]);
  const std::string text = "no \x1D escape\x03\n";
  ASSERT_EQ(::write(in[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::close(in[1]);
  std::string got;
  char buffer[512];
  for (ssize_t count; (count = ::read(out[0], buffer, sizeof buffer)) > 0;)
    got.append(buffer, static_cast<std::size_t>(count));
  EXPECT_EQ(got, text);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  ::close(out[0]);
}

TEST(WithoutATerminal, ClosedStreamsAndAReaderThatIsGoneDoNoHarm) {
  int status = 0;
  ::waitpid(start_with(-1, -1), &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);

  int in[2], out[2];
  ASSERT_EQ(::pipe(in), 0);
  ASSERT_EQ(::pipe(out), 0);
  const pid_t child = start_with(in[0], out[1]);
  ::close(out[0]);
  ::close(out[1]);
  ASSERT_EQ(::write(in[1], "hello", 5), 5);
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  ::close(in[0]);
  ::close(in[1]);
}

TEST(WithoutATerminal, DevNullIsAnInputThatHasEnded) {
  const int null = ::open("/dev/null", O_RDWR);
  int status = 0;
  ::waitpid(start_with(null, null), &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 7);
  ::close(null);
}

TEST(WithoutATerminal, TheModeOfTheSharedStreamsIsNotTouched) {
  int in[2], out[2];
  ASSERT_EQ(::pipe(in), 0);
  ASSERT_EQ(::pipe(out), 0);
  int status = 0;
  ::waitpid(start_with(in[0], out[1]), &status, 0);
  EXPECT_EQ(::fcntl(in[0], F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(out[1], F_GETFL) & O_NONBLOCK, 0);
  for (const int fd : {in[0], in[1], out[0], out[1]}) ::close(fd);
}

}  // namespace
}  // namespace vireo::chardev
