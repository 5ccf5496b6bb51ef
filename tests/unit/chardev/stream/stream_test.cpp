#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "chardev/stream/input.h"
#include "chardev/stream/output.h"

namespace vireo::chardev {
namespace {

using namespace std::chrono_literals;

struct Pipe {
  explicit Pipe(bool socket = false) {
    std::signal(SIGPIPE, SIG_IGN);
    int fds[2];
    EXPECT_EQ(socket ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) : ::pipe2(fds, O_CLOEXEC), 0);
    in = host::Fd(fds[0]);
    out = host::Fd(fds[1]);
  }
  host::Fd in, out;
};

// The loop on a thread of its own.
class Streams : public testing::Test {
 protected:
  Streams() : thread([this] { loop->run(); }) {}
  ~Streams() override {
    loop->stop();
    thread.join();
  }
  template <class Condition>
  static bool soon(Condition condition) {
    for (int i = 0; i < 5000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
    return condition();
  }
  std::unique_ptr<host::Loop> loop = std::move(*host::Loop::create());
  std::thread thread;
};

std::span<const u8> bytes(const std::string& text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(fd, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(count));
  return text;
}

// Takes what there is room for, and keeps it.
struct Sink final : ByteSink {
  std::size_t room() override {
    const std::lock_guard lock(mutex);
    return space;
  }
  void receive(std::span<const u8> range) override {
    const std::lock_guard lock(mutex);
    EXPECT_LE(range.size(), space);
    space -= range.size();
    text.append(range.begin(), range.end());
  }
  void output_ready() override {}
  std::string taken() {
    const std::lock_guard lock(mutex);
    return text;
  }
  void give(std::size_t more) {
    const std::lock_guard lock(mutex);
    space += more;
  }
  std::mutex mutex;
  std::size_t space = 0;
  std::string text;
};

TEST_F(Streams, OutputArrivesPromptlyWithoutAFlush) {
  Pipe pipe;
  StreamOutput output(*loop, std::move(pipe.out), {});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(output.write(bytes("login: ")));
  char buffer[16];
  EXPECT_EQ(::read(pipe.in.get(), buffer, sizeof buffer), 7);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 500ms);
}

TEST_F(Streams, NothingIsLostAtTheEnd) {
  for (const bool socket : {false, true}) {
    Pipe pipe(socket);
    std::string expected;
    std::string got;
    std::thread reader([&] { got = read_all(pipe.in.get()); });
    {
      StreamOutput output(*loop, std::move(pipe.out), {});
      for (int i = 0; i < 100'000; ++i) {
        const std::string piece = std::to_string(i) + "\n";
        expected += piece;
        output.write(bytes(piece));
      }
    }
    reader.join();
    EXPECT_EQ(got, expected);
  }
}

TEST_F(Streams, AStuckReaderHoldsTheWriterBackAndLosesNothing) {
  Pipe pipe;
  std::atomic<int> ready{0};
  StreamOutput output(*loop, std::move(pipe.out), [&] { ++ready; });
  const std::string block(1000, 'x');
  std::size_t sent = 0;
  bool more = true;
  while (more) {
    more = output.write(bytes(block));
    sent += block.size();
    ASSERT_LT(sent, 1'000'000U);
  }
  EXPECT_GE(sent, StreamOutput::kLow);
  while (sent < 65536 + StreamOutput::kHigh + 2000) {  // the pipe, the buffer, and more
    output.write(bytes(block));
    sent += block.size();
  }
  const auto start = std::chrono::steady_clock::now();
  output.write(bytes(block));
  sent += block.size();
  EXPECT_LT(std::chrono::steady_clock::now() - start, 2s) << "waits, but not for ever";
  EXPECT_FALSE(output.write(bytes("x")));
  sent += 1;
  const int before = ready;  // it was ready while the pipe took bytes
  std::size_t got = 0;
  std::vector<char> buffer(65536);
  while (got < sent)
    got += static_cast<std::size_t>(std::max<ssize_t>(::read(pipe.in.get(), buffer.data(), buffer.size()), 0));
  EXPECT_EQ(got, sent);
  EXPECT_TRUE(soon([&] { return ready > before; }));
  EXPECT_TRUE(output.write(bytes("x")));
}

TEST_F(Streams, AReaderThatWentAwayEndsTheOutputQuietly) {
  Pipe pipe;
  StreamOutput output(*loop, std::move(pipe.out), {});
  pipe.in = host::Fd();
  output.write(bytes("into the void"));
  output.flush();
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(output.write(bytes(std::string(1000, 'x'))));
  output.flush();
}

TEST_F(Streams, AClosedDescriptorSwallowsOutput) {
  StreamOutput output(*loop, host::Fd(), {});
  EXPECT_TRUE(output.write(bytes("x")));
  output.flush();
}

TEST_F(Streams, FlushWorksWithoutTheLoop) {
  auto still = std::move(*host::Loop::create());
  Pipe pipe;
  StreamOutput output(*still, std::move(pipe.out), {});
  output.write(bytes("last words"));
  output.flush();
  char buffer[32];
  EXPECT_EQ(::read(pipe.in.get(), buffer, sizeof buffer), 10);
}

TEST_F(Streams, OutputGoesToARegularFile) {
  char name[] = "/tmp/vireo-stream-XXXXXX";
  const int file = ::mkstemp(name);
  {
    StreamOutput output(*loop, host::Fd(::dup(file)), {});
    for (int i = 0; i < 100; ++i) output.write(bytes(std::string(1000, 'x')));
  }
  EXPECT_EQ(::lseek(file, 0, SEEK_END), 100'000);
  ::close(file);
  ::unlink(name);
}

TEST_F(Streams, InputComesAsFastAsTheSinkHasRoom) {
  Pipe pipe;
  Sink sink;
  StreamInput input(*loop, std::move(pipe.in), {});
  input.set_sink(&sink);
  ASSERT_EQ(::write(pipe.out.get(), "abcdef", 6), 6);
  std::this_thread::sleep_for(5ms);
  EXPECT_EQ(sink.taken(), "");
  sink.give(2);
  input.resume();
  EXPECT_TRUE(soon([&] { return sink.taken() == "ab"; }));
  sink.give(100);
  input.resume();
  EXPECT_TRUE(soon([&] { return sink.taken() == "abcdef"; }));
  ASSERT_EQ(::write(pipe.out.get(), "g", 1), 1);
  EXPECT_TRUE(soon([&] { return sink.taken() == "abcdefg"; }));
  input.set_sink(nullptr);
}

TEST_F(Streams, BytesBeforeTheEndOfTheInputAreDeliveredAfterIt) {
  Pipe pipe;
  Sink sink;
  StreamInput input(*loop, std::move(pipe.in), {});
  input.set_sink(&sink);
  ASSERT_EQ(::write(pipe.out.get(), "bye", 3), 3);
  pipe.out = host::Fd();
  std::this_thread::sleep_for(5ms);
  sink.give(100);
  input.resume();
  EXPECT_TRUE(soon([&] { return sink.taken() == "bye"; }));
  input.set_sink(nullptr);
}

TEST_F(Streams, InputComesFromARegularFile) {
  char name[] = "/tmp/vireo-stream-XXXXXX";
  host::Fd file(::mkstemp(name));
  ::unlink(name);
  const std::string text(20'000, 'y');
  ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::lseek(file.get(), 0, SEEK_SET);
  Sink sink;
  StreamInput input(*loop, std::move(file), {});
  input.set_sink(&sink);
  while (sink.taken().size() < text.size()) {
    sink.give(100);
    input.resume();
    std::this_thread::sleep_for(50us);
  }
  EXPECT_EQ(sink.taken(), text);
  input.set_sink(nullptr);
}

TEST_F(Streams, TheFilterSeesBytesThatTheSinkHasNoRoomFor) {
  Pipe pipe;
  Sink sink;
  std::atomic<int> seen{0};
  StreamInput input(*loop, std::move(pipe.in), [&](u8 byte) {
    if (byte == '!') ++seen;
    return byte != '!';
  });
  input.set_sink(&sink);
  ASSERT_EQ(::write(pipe.out.get(), "a!b", 3), 3);
  EXPECT_TRUE(soon([&] { return seen == 1; }));
  sink.give(10);
  input.resume();
  EXPECT_TRUE(soon([&] { return sink.taken() == "ab"; }));
  input.set_sink(nullptr);
}

}  // namespace
}  // namespace vireo::chardev
