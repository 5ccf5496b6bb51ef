#include "net/vsock/unix_streams.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "support/loop_thread.h"

namespace vireo::net {
namespace {

using test::soon;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

host::Fd call(const std::string& path, std::string_view line) {
  host::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = address_of(path);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::write(socket.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
  return socket;
}

bool is_closed(const host::Fd& socket) {
  char byte;
  return ::recv(socket.get(), &byte, 1, 0) <= 0;  // an error when something it said was not heard
}

/// Takes every call and echoes; keeps what the guest's side opened.
class Echo final : public StreamPort {
 public:
  void serve() override {
    const std::lock_guard lock(mutex);
    std::erase_if(streams, [](auto& stream) {
      std::array<u8, 100> bytes;
      while (stream->may_read()) {
        const auto moved = stream->read(bytes);
        stream->write(std::span(bytes).first(moved.count));
        if (moved.ended) return true;
      }
      stream->wait_for(true, false);
      return false;
    });
    if (reaching) state = reaching->state();
  }
  void incoming(u32 port, std::unique_ptr<Stream> stream) override {
    const std::lock_guard lock(mutex);
    last_port = port;
    if (port == 1) return;
    stream->confirm(77);
    streams.push_back(std::move(stream));
  }

  std::mutex mutex;
  std::vector<std::unique_ptr<Stream>> streams;
  std::unique_ptr<Stream> reaching;
  std::atomic<Stream::State> state = Stream::State::Coming;
  std::atomic<u32> last_port = 0;
};

class UnixStreamsTest : public testing::Test {
 protected:
  UnixStreamsTest() {
    char name[] = "/tmp/vireo-vsock-XXXXXX";
    folder = ::mkdtemp(name);
    path = folder + "/v.sock";
    loop = std::move(*host::Loop::create());
    streams = std::move(*UnixStreams::create(*loop, path));
    streams->attach(port);
    thread = std::thread([this] { loop->run(); });
  }
  ~UnixStreamsTest() override {
    loop->stop();
    thread.join();
    port.streams.clear();
    port.reaching.reset();
    streams.reset();
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
    ::unlink((path + "_9").c_str());
    ::rmdir(folder.c_str());
  }
  void reach(u32 number) {
    loop->post([this, number] {
      const std::lock_guard lock(port.mutex);
      port.reaching = streams->connect(number);
    });
  }

  std::string folder, path;
  std::unique_ptr<host::Loop> loop;
  std::unique_ptr<UnixStreams> streams;
  Echo port;
  std::thread thread;
};

TEST_F(UnixStreamsTest, ACallerSaysWhichPort) {
  const auto caller = call(path, "CONNECT 4000\nhello");
  EXPECT_EQ(test::read_until(caller, "hello"), "OK 77\nhello");
  EXPECT_EQ(port.last_port, 4000u);
  ::shutdown(caller.get(), SHUT_WR);
  EXPECT_TRUE(is_closed(caller));
}

TEST_F(UnixStreamsTest, AnythingElseIsNotHeard) {
  for (const char* line : {"HELLO\n", "CONNECT\n", "CONNECT x\n", "CONNECT 4294967296\n", "CONNECT 1 2\n", "\n",
                           "CONNECT 00000000000000000000000000000001\n"}) {
    EXPECT_TRUE(is_closed(call(path, line))) << line;
  }
  EXPECT_EQ(port.last_port, 0u);
}

TEST_F(UnixStreamsTest, ARefusedCallIsClosed) {
  EXPECT_TRUE(is_closed(call(path, "CONNECT 1\n")));
  EXPECT_EQ(port.last_port, 1u);
}

TEST_F(UnixStreamsTest, CallersWhoSayNothingDoNotKeepTheirPlaces) {
  {
    std::vector<host::Fd> silent;
    for (unsigned i = 0; i < 20; ++i) silent.push_back(call(path, "CONN"));
  }
  EXPECT_EQ(test::read_until(call(path, "CONNECT 2\n"), "\n"), "OK 77\n");
}

TEST_F(UnixStreamsTest, TheGuestReachesWhoListensAtThePortsSocket) {
  const host::Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = address_of(path + "_9");
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  reach(9);
  EXPECT_TRUE(soon([&] { return port.state == Stream::State::There; }));
  const host::Fd peer(::accept(listener.get(), nullptr, nullptr));
  const std::lock_guard lock(port.mutex);
  EXPECT_EQ(port.reaching->write(test::bytes("hello")).count, 5u);
  EXPECT_EQ(test::read_until(peer, "hello"), "hello");
  port.reaching->end_writing();
  EXPECT_TRUE(is_closed(peer));
  EXPECT_FALSE(port.reaching->gone());
  std::array<u8, 1> byte;
  EXPECT_EQ(port.reaching->read(byte).count, 0u);
  EXPECT_FALSE(port.reaching->may_read());
}

TEST_F(UnixStreamsTest, APortWhereNobodyListensIsRefused) {
  reach(8);
  EXPECT_TRUE(soon([&] { return port.state == Stream::State::Refused; }));
}

TEST(UnixStreams, AreNotMadeWhereAPortsPathDoesNotFit) {
  const auto loop = std::move(*host::Loop::create());
  const auto made = UnixStreams::create(*loop, "/tmp/" + std::string(95, 'x'));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::Usage);
}

}  // namespace
}  // namespace vireo::net
