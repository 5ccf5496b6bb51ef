#include "vhost/user/peer.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>

#include "base/bytes.h"
#include "host/socket.h"
#include "support/loop_thread.h"

namespace vireo::vhost::user {
namespace {

/// The other process, on a thread: answers as it should but for what a test changes, and serves queue 1.
class Daemon {
 public:
  Daemon() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ours = host::Fd(ends[0]);
    theirs = host::Fd(ends[1]);
  }
  ~Daemon() {
    if (thread.joinable()) thread.join();
  }
  Connection connection() { return Connection(std::move(theirs), "the daemon"); }
  void run() {
    thread = std::thread([this] {
      while (step()) {
      }
      ours = {};
    });
  }

  std::map<u32, u64> answers{{1, VIRTIO_F_VERSION_1 | VHOST_USER_F_PROTOCOL_FEATURES}, {15, PROTOCOL_F_REPLY_ACK}};
  u32 answer_size = 8, answer_flags = flag::Version | flag::Reply;
  std::vector<u32> heard;
  std::vector<host::Fd> memory_files, kicks, calls;
  std::vector<u8> table;
  VringAddress address;
  std::atomic<unsigned> last_queue = ~0u;

 private:
  bool step() {
    Header header;
    std::vector<host::Fd> passed;
    // The descriptors come with the first byte.
    std::size_t got = 0;
    while (got < sizeof header) {
      pollfd ready{.fd = ours.get(), .events = POLLIN, .revents = 0};
      ::poll(&ready, 1, 5000);
      const auto moved =
          host::receive(ours, std::span(reinterpret_cast<u8*>(&header), sizeof header).subspan(got), passed);
      if (moved.ended || (moved.count == 0 && ready.revents == 0)) return false;
      got += moved.count;
    }
    std::vector<u8> body(header.size);
    if (!body.empty() && ::recv(ours.get(), body.data(), body.size(), MSG_WAITALL) != static_cast<ssize_t>(body.size()))
      return false;
    heard.push_back(header.request);
    if (header.request == 5) {
      table = body;
      memory_files = std::move(passed);
    } else if (header.request == 12) {
      kicks.push_back(std::move(passed.at(0)));
    } else if (header.request == 13) {
      calls.push_back(std::move(passed.at(0)));
    } else if (header.request == 9 && load<u32>(body.data()) == 1) {
      address = load<VringAddress>(body.data());
    } else if (header.request == 18) {
      last_queue = load<u32>(body.data());
    }
    const bool asks = header.request == 1 || header.request == 15;
    if (!asks && (header.flags & flag::NeedReply) == 0) return true;
    struct {
      Header header;
      u8 value[8];
    } answer{{header.request, answer_flags, answer_size}, {}};
    store(answer.value, answers.contains(header.request) ? answers[header.request] : u64{0});
    return ::send(ours.get(), &answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer;
  }

  host::Fd ours, theirs;
  std::thread thread;
};

struct FakePort final : Port {
  void done(unsigned queue) override { ++dones[queue]; }
  void lost() override { is_lost = true; }
  std::atomic<unsigned> dones[2];
  std::atomic<bool> is_lost = false;
};

class PeerTest : public testing::Test {
 protected:
  Result<std::unique_ptr<Peer>> create() {
    daemon.run();
    return Peer::create(*loop, daemon.connection(), 2);
  }
  void start() {
    auto made = create();
    ASSERT_TRUE(made) << made.error().message;
    peer = std::move(*made);
    peer->attach(port);
    const auto started = peer->start(memory);
    ASSERT_TRUE(started) << started.error().message;
    thread = std::thread([this] { loop->run(); });
  }
  ~PeerTest() override {
    loop->stop();
    if (thread.joinable()) thread.join();
    peer.reset();
  }

  const std::unique_ptr<host::Loop> loop = std::move(*host::Loop::create());
  vm::GuestMemory memory = *vm::GuestMemory::create(
      {{.gpa = 0, .size = 0x10000, .offset = 0}, {.gpa = 0x100000, .size = 0x10000, .offset = 0x10000}},
      vm::GuestMemory::Sharing::Shared);
  FakePort port;
  Daemon daemon;
  std::unique_ptr<Peer> peer;
  std::thread thread;
};

TEST_F(PeerTest, TheOtherProcessServesRequestsInGuestMemory) {
  start();
  const auto count = load<u32>(daemon.table.data());
  ASSERT_EQ(count, 3u);
  ASSERT_EQ(daemon.memory_files.size(), 3u);
  const auto second = load<MemoryRegion>(daemon.table.data() + 8 + sizeof(MemoryRegion));
  EXPECT_EQ(second.guest_address, 0x100000u);
  EXPECT_EQ(second.mmap_offset, 0x10000u);
  const auto own = load<MemoryRegion>(daemon.table.data() + 8 + 2 * sizeof(MemoryRegion));

  const iovec in{memory.at(0x100010, 40), 40}, out{memory.at(0x20, 16), 16};
  const auto ticket = peer->submit(1, {&in, 1}, {&out, 1});
  ASSERT_TRUE(ticket);
  peer->kick(1);
  u64 kicks = 0;
  ASSERT_EQ(::read(daemon.kicks.at(1).get(), &kicks, sizeof kicks), static_cast<ssize_t>(sizeof kicks));

  // It maps what it was given.
  auto* rings =
      static_cast<u8*>(::mmap(nullptr, own.size, PROT_READ | PROT_WRITE, MAP_SHARED, daemon.memory_files[2].get(), 0));
  ASSERT_NE(rings, MAP_FAILED);
  const u8* descriptor = rings + (daemon.address.descriptor - own.user_address) + 16 * *ticket;
  EXPECT_EQ(load<u64>(descriptor), 0x100010u);
  u8* used = rings + (daemon.address.used - own.user_address);
  store(used + 4, u32{*ticket});
  store(used + 8, u32{16});
  store(used + 2, u16{1});
  const u64 one = 1;
  ASSERT_EQ(::write(daemon.calls.at(1).get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  EXPECT_TRUE(test::soon([&] { return port.dones[1] == 1; }));
  const auto done = peer->take_done(1);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->ticket, *ticket);
  EXPECT_EQ(done->written, 16u);

  // And is given up when it says what cannot be.
  store(used + 12, u32{5000});
  store(used + 2, u16{2});
  EXPECT_FALSE(peer->take_done(1));
  EXPECT_TRUE(peer->lost());
  EXPECT_TRUE(test::soon([&] { return port.is_lost.load(); }));
  EXPECT_FALSE(peer->submit(1, {&in, 1}, {&out, 1}));
  ::munmap(rings, own.size);
}

TEST_F(PeerTest, WhatIsNotGuestMemoryIsNotHandedOn) {
  start();
  u8 elsewhere[8];
  const iovec in{elsewhere, sizeof elsewhere};
  EXPECT_FALSE(peer->submit(1, {&in, 1}, {}));
  const iovec across{memory.base() + 0xFFFF, 2};  // of two slots
  EXPECT_FALSE(peer->submit(1, {&across, 1}, {}));
}

TEST_F(PeerTest, AProcessWithoutVirtioIsRefused) {
  daemon.answers[1] = VHOST_USER_F_PROTOCOL_FEATURES;
  EXPECT_FALSE(create());
}

TEST_F(PeerTest, AnAnswerOfAnotherSizeIsRefused) {
  daemon.answer_size = 4;
  EXPECT_FALSE(create());
}

TEST_F(PeerTest, AnAnswerThatIsNoneIsRefused) {
  daemon.answer_flags = flag::Version;
  EXPECT_FALSE(create());
}

TEST_F(PeerTest, ARefusalIsAnError) {
  daemon.answers[5] = 1;
  auto made = create();
  ASSERT_TRUE(made);
  const auto started = (*made)->start(memory);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("refuses"), std::string::npos);
}

}  // namespace
}  // namespace vireo::vhost::user
