// Many requests at once, from several threads, on a file: each thread owns blocks spread over all clusters, so that
// threads meet in clusters but not in blocks, and knows what they hold.
#include <gtest/gtest.h>

#include <random>
#include <semaphore>
#include <thread>

#include "base/bytes.h"
#include "block/open/open.h"
#include "block/qcow2/check.h"
#include "unit/block/qcow2/kinds.h"
#include "unit/block/temporary_file.h"

namespace vireo::block {
namespace {

constexpr unsigned kThreads = 3, kDepth = 16, kRounds = 120;

struct Waited : Request {
  std::counting_semaphore<>* ended = nullptr;
  Status status = Status::Ok;
  std::array<u8, 512> bytes{};
  iovec piece{};
};

class Concurrency : public testing::TestWithParam<test::Kind> {};

/// Submits up to kDepth requests for different blocks, waits for all, and compares what was read.
void work(Disk& disk, unsigned thread, std::vector<u64>& values, std::atomic<unsigned>& wrong) {
  std::mt19937_64 random(thread + 1);
  std::vector<Waited> requests(kDepth);
  const u64 blocks = disk.geometry().size / 512;
  for (unsigned round = 0; round < kRounds; ++round) {
    std::counting_semaphore<> ended{0};
    u64 block = random() % (blocks / 4) / kThreads * kThreads + thread;
    unsigned count = 0;
    for (; count < kDepth; ++count) {
      if (block >= blocks) break;
      auto& request = requests[count];
      request.operation = random() % 2 == 0 ? Operation::Write : Operation::Read;
      if (random() % 16 == 0) request.operation = Operation::WriteZeroes;
      request.may_unmap = true;
      request.offset = block * 512;
      request.length = 512;
      request.ended = &ended;
      request.piece = {request.bytes.data(), 512};
      request.memory = {&request.piece, request.operation == Operation::WriteZeroes ? 0u : 1u};
      if (request.operation == Operation::Write) {
        values[block] = random();
        for (std::size_t i = 0; i < 64; ++i) store(request.bytes.data() + i * 8, values[block]);
      } else if (request.operation == Operation::WriteZeroes) {
        values[block] = 0;
      }
      request.done = [](Request& done, Status status) {
        static_cast<Waited&>(done).status = status;
        static_cast<Waited&>(done).ended->release();
      };
      disk.submit(request);
      block += kThreads * (1 + random() % 40);
    }
    for (unsigned i = 0; i < count; ++i) ended.acquire();
    for (unsigned i = 0; i < count; ++i) {
      const auto& request = requests[i];
      if (request.status != Status::Ok) ++wrong;
      if (request.operation != Operation::Read) continue;
      for (std::size_t j = 0; j < 64; ++j) {
        if (load<u64>(request.bytes.data() + j * 8) != values[request.offset / 512]) {
          ++wrong;
          break;
        }
      }
    }
    if (round % 8 == thread) {
      std::binary_semaphore flushed{0};
      struct Flush : Request {
        std::binary_semaphore* flushed;
      } flush;
      flush.operation = Operation::Flush;
      flush.flushed = &flushed;
      flush.done = [](Request& done, Status) { static_cast<Flush&>(done).flushed->release(); };
      disk.submit(flush);
      flushed.acquire();
    }
  }
}

TEST_P(Concurrency, EveryRequestSeesItsOwnWrites) {
  if (!GetParam().image.data_file.empty()) GTEST_SKIP() << "data files are as image files";
  const test::TemporaryFile file;
  auto image = GetParam().image;
  const auto threads = std::make_shared<IoThreads>();
  {
    const auto storage = open_file(file.path(), {.write = true}, threads);
    ASSERT_TRUE(storage && qcow2::create(**storage, image));
  }
  std::vector<std::vector<u64>> values(kThreads, std::vector<u64>(image.size / 512));
  for (unsigned session = 0; session < 2; ++session) {
    const auto disk = open_qcow2(file.path(), {}, threads);
    ASSERT_TRUE(disk) << disk.error().message;
    std::atomic<unsigned> wrong{0};
    std::vector<std::thread> workers;
    for (unsigned t = 0; t < kThreads; ++t) workers.emplace_back([&, t] { work(**disk, t, values[t], wrong); });
    for (auto& worker : workers) worker.join();
    (*disk)->drain();
    EXPECT_EQ(wrong, 0u);
    const auto checked = qcow2::check(**disk);
    ASSERT_TRUE(checked);
    EXPECT_EQ(checked->corruptions + checked->leaks, 0u) << checked->corruptions << " " << checked->leaks;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Concurrency, testing::ValuesIn(test::kinds()),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace vireo::block
