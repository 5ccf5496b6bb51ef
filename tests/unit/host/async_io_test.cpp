#include "host/async_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <semaphore>

#include "host/workers.h"

namespace vireo::host {
namespace {

struct Waited : AsyncOperation {
  std::binary_semaphore ended{0};
  int error = -1;
  Waited(Kind which, int file, u64 at, std::span<const iovec> pieces) {
    kind = which;
    fd = file;
    offset = at;
    memory = pieces;
    done = [](AsyncOperation& operation, int result) {
      auto& self = static_cast<Waited&>(operation);
      self.error = result;
      self.ended.release();
    };
  }
};

class AsyncFile : public testing::TestWithParam<AsyncIo::Engine> {
 protected:
  int run(AsyncOperation::Kind kind, u64 offset, std::span<const iovec> pieces) {
    return run(file.get(), kind, offset, pieces);
  }
  int run(int fd, AsyncOperation::Kind kind, u64 offset, std::span<const iovec> pieces) {
    Waited operation(kind, fd, offset, pieces);
    io->submit(operation);
    operation.ended.acquire();
    return operation.error;
  }

  Fd file{::memfd_create("disk", MFD_CLOEXEC)};
  std::unique_ptr<AsyncIo> io = AsyncIo::create(GetParam());
};

using Kind = AsyncOperation::Kind;

TEST_P(AsyncFile, ReadsWhatWasWrittenFromScatteredMemory) {
  std::vector<u8> bytes(3000 * 3), back(bytes.size() + 100, 0xEE);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(i * 7 + i / 251);
  std::vector<iovec> pieces;  // more than one system call takes
  for (std::size_t i = 0; i < 3000; ++i) pieces.push_back({bytes.data() + i * 3, 3});
  EXPECT_EQ(run(Kind::Write, 1000, pieces), 0);
  EXPECT_EQ(run(Kind::SyncData, 0, {}), 0);
  const iovec whole{back.data(), back.size()};
  EXPECT_EQ(run(Kind::Read, 1000, {&whole, 1}), 0);
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), back.begin()));
  EXPECT_EQ(std::count(back.end() - 100, back.end(), 0), 100) << "beyond the end of the file are zeroes";
}

TEST_P(AsyncFile, TellsErrors) {
  const Fd read_only(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  u8 byte = 0;
  const iovec piece{&byte, 1};
  EXPECT_EQ(run(read_only.get(), Kind::Write, 0, {&piece, 1}), EBADF);
  EXPECT_EQ(run(-1, Kind::Read, 0, {&piece, 1}), EBADF);
}

TEST_P(AsyncFile, CompletesEveryRequestOfManyThreads) {
  constexpr unsigned kThreads = 4, kEach = 2000;
  struct Counted : AsyncOperation {
    std::atomic<unsigned>* count = nullptr;
    u64 value = 0;
    iovec piece{};
  };
  std::atomic<unsigned> count{0};
  std::vector<std::vector<Counted>> operations;
  for (unsigned t = 0; t < kThreads; ++t) operations.emplace_back(kEach);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < kEach; ++i) {
        auto& operation = operations[t][i];
        operation.value = u64{t} << 32 | i;
        operation.piece = {&operation.value, sizeof operation.value};
        operation.count = &count;
        operation.kind = Kind::Write;
        operation.fd = file.get();
        operation.offset = (u64{t} * kEach + i) * 8;
        operation.memory = {&operation.piece, 1};
        operation.done = [](AsyncOperation& ended, int error) {
          if (error == 0) static_cast<Counted&>(ended).count->fetch_add(1);
        };
        io->submit(operation);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  io.reset();  // waits
  EXPECT_EQ(count, kThreads * kEach);
  for (const u64 at : {0u, kEach + 5, 2 * kEach, 4 * kEach - 1}) {
    u64 value = 0;
    ASSERT_EQ(::pread(file.get(), &value, sizeof value, static_cast<off_t>(at * 8)), 8);
    EXPECT_EQ(value, (at / kEach) << 32 | at % kEach);
  }
}

INSTANTIATE_TEST_SUITE_P(OfEveryEngine, AsyncFile, testing::Values(AsyncIo::Engine::Auto, AsyncIo::Engine::Threads),
                         [](const auto& engine) { return engine.param == AsyncIo::Engine::Auto ? "Auto" : "Threads"; });

TEST(Workers, DoEverythingBeforeTheyEnd) {
  std::atomic<unsigned> count{0};
  {
    Workers workers("test", 3);
    for (unsigned i = 0; i < 1000; ++i) workers.post([&] { ++count; });
  }
  EXPECT_EQ(count, 1000u);
}

TEST(Workers, RunAtOnceUpToTheirNumber) {
  Workers workers("test", 3);
  std::counting_semaphore<> arrived{0}, go{0};
  std::atomic<unsigned> started{0};
  for (unsigned i = 0; i < 4; ++i) {
    workers.post([&] {
      ++started;
      arrived.release();
      go.acquire();
    });
  }
  for (unsigned i = 0; i < 3; ++i) arrived.acquire();
  EXPECT_EQ(started, 3u);
  go.release(4);
}

}  // namespace
}  // namespace vireo::host
