#include "virtio/blk/blk.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "base/bytes.h"
#include "support/memory_disk.h"
#include "support/virtio_driver.h"

namespace vireo::virtio {
namespace {

using namespace blk;
using block::Operation;
using test::VirtioDriver;

constexpr u64 kHeader = VirtioDriver::kData, kStatus = kHeader + 16, kBuffer = kHeader + 0x1000;
constexpr u64 kAll = FLUSH | CONFIG_WCE | MQ | DISCARD | WRITE_ZEROES | feature::INDIRECT_DESC;

class BlkTest : public testing::TestWithParam<u64> {
 protected:
  BlkTest() {
    auto& geometry = disk.change_geometry();
    geometry.physical_block_size = 4096;
    geometry.optimal_io_size = 65536;
    geometry.discard_alignment = 4096;
    geometry.write_zeroes = true;
    for (std::size_t i = 0; i < disk.bytes.size(); ++i) disk.bytes[i] = static_cast<u8>(i / 512 + i);
    driver.enable();
    driver.start(kAll | GetParam());
  }

  /// Adds a request with its data at kBuffer.
  void add(u32 type, u64 sector, u32 length, bool writable, unsigned queue = 0) {
    const Header header{.type = type, .reserved = 0, .sector = sector};
    driver.memory.write(kHeader, &header, sizeof header);
    status() = 0xEE;
    driver.ring(queue).add({{kHeader, 16}, {kBuffer, length, writable}, {kStatus, 1, true}});
  }
  /// Its status.
  int run(u32 type, u64 sector, u32 length, bool writable) {
    add(type, sector, length, writable);
    driver.notify(0);
    const auto used = driver.ring(0).take_used();
    if (!used) return -1;
    written = used->written;
    return status();
  }
  int run_segment(u32 type, Segment segment) {
    driver.memory.write(kBuffer, &segment, sizeof segment);
    return run(type, 0, sizeof segment, false);
  }
  u8& status() { return *driver.memory.at(kStatus, 1); }
  u8* buffer() { return driver.memory.at(kBuffer, 0x10000); }

  test::MemoryDisk disk{1 * kMiB};
  VirtioDriver driver{std::make_unique<Blk>(disk, "serial-number", 2)};
  u32 written = 0;
};

TEST_P(BlkTest, ConfigurationDescribesTheDisk) {
  EXPECT_EQ(driver.config<u64>(config::capacity), 2048u);
  EXPECT_EQ(driver.config<u32>(config::blk_size), 512u);
  EXPECT_EQ(driver.config<u8>(config::physical_block_exp), 3u);
  EXPECT_EQ(driver.config<u16>(config::min_io_size), 8u);
  EXPECT_EQ(driver.config<u32>(config::opt_io_size), 128u);
  EXPECT_EQ(driver.config<u16>(config::num_queues), 2u);
  EXPECT_EQ(driver.config<u32>(config::discard_sector_alignment), 8u);
  EXPECT_EQ(driver.config<u8>(config::writeback), 1u);
  EXPECT_EQ(driver.device_features() & (RO | DISCARD | WRITE_ZEROES), DISCARD | WRITE_ZEROES);
}

TEST_P(BlkTest, ReadsAndWritesGuestMemoryInPlace) {
  EXPECT_EQ(run(T_IN, 3, 1024, true), S_OK);
  EXPECT_EQ(written, 1025u);
  EXPECT_EQ(0, std::memcmp(buffer(), &disk.bytes[3 * 512], 1024));
  std::memset(buffer(), 0x5A, 512);
  EXPECT_EQ(run(T_OUT, 2047, 512, false), S_OK);
  EXPECT_EQ(written, 1u);
  EXPECT_EQ(disk.bytes.back(), 0x5A);
  EXPECT_GE(driver.msi.take(0x41), 1u);
}

TEST_P(BlkTest, WhatIsReadIsSeenByCodeCaches) {
  driver.memory.enter_code(kBuffer + 512);
  const u32 before = driver.memory.generation(kBuffer + 512);
  EXPECT_EQ(run(T_IN, 0, 1024, true), S_OK);
  EXPECT_NE(driver.memory.generation(kBuffer + 512), before);
}

TEST_P(BlkTest, RequestsOutsideTheDiskFail) {
  EXPECT_EQ(run(T_IN, 2048, 512, true), S_IOERR);
  EXPECT_EQ(run(T_IN, 2047, 1024, true), S_IOERR);
  EXPECT_EQ(run(T_IN, ~u64{0}, 512, true), S_IOERR);
  EXPECT_EQ(run(T_OUT, u64{1} << 55, 512, false), S_IOERR);
  EXPECT_EQ(run(T_IN, 0, 100, true), S_IOERR);
  EXPECT_EQ(run(T_OUT, 0, 0, false), S_IOERR);
  EXPECT_EQ(run(99, 0, 512, true), S_UNSUPP);
  EXPECT_TRUE(disk.log.empty());
  disk.change_geometry().block_size = 4096;
  EXPECT_EQ(run(T_IN, 1, 4096, true), S_IOERR);
  EXPECT_EQ(run(T_IN, 8, 512, true), S_IOERR);
  EXPECT_EQ(run(T_IN, 8, 4096, true), S_OK);
}

TEST_P(BlkTest, StatusTellsWhatTheDiskSays) {
  disk.result = block::Status::NoSpace;
  EXPECT_EQ(run(T_OUT, 0, 512, false), S_IOERR);
  disk.result = block::Status::Unsupported;
  EXPECT_EQ(run_segment(T_DISCARD, {0, 8, 0}), S_UNSUPP);
}

TEST_P(BlkTest, AReadOnlyDiskIsNotWritten) {
  disk.change_geometry().read_only = true;
  EXPECT_EQ(driver.device_features() & (RO | DISCARD | WRITE_ZEROES), RO);
  EXPECT_EQ(run(T_OUT, 0, 512, false), S_IOERR);
  EXPECT_EQ(run_segment(T_DISCARD, {0, 8, 0}), S_UNSUPP);
  EXPECT_TRUE(disk.log.empty());
}

TEST_P(BlkTest, IdIsTheSerialNumber) {
  std::memset(buffer(), 0xFF, 32);
  EXPECT_EQ(run(T_GET_ID, 0, 20, true), S_OK);
  EXPECT_EQ(0, std::memcmp(buffer(), "serial-number\0\0\0\0\0\0\0", 20));
  EXPECT_EQ(buffer()[20], 0xFF);
  EXPECT_EQ(written, 21u);
}

TEST_P(BlkTest, DiscardsAndZeroesOneSegment) {
  EXPECT_EQ(run_segment(T_DISCARD, {8, 8, 0}), S_OK);
  EXPECT_EQ(disk.bytes[8 * 512], 0xDD);
  EXPECT_EQ(run_segment(T_WRITE_ZEROES, {16, 16, kUnmap}), S_OK);
  EXPECT_EQ(disk.bytes[32 * 512 - 1], 0);
  EXPECT_EQ(run_segment(T_DISCARD, {8, 8, kUnmap}), S_UNSUPP);
  EXPECT_EQ(run_segment(T_WRITE_ZEROES, {8, 8, 2}), S_UNSUPP);
  EXPECT_EQ(run_segment(T_DISCARD, {2048, 1, 0}), S_IOERR);
  EXPECT_EQ(run_segment(T_DISCARD, {~u64{0}, 1, 0}), S_IOERR);
  EXPECT_EQ(run_segment(T_DISCARD, {8, 0, 0}), S_IOERR);
  EXPECT_EQ(run(T_DISCARD, 0, 32, false), S_UNSUPP);
}

TEST_P(BlkTest, EveryWriteIsFlushedWhenTheCacheIsOff) {
  EXPECT_EQ(run(T_OUT, 0, 512, false), S_OK);
  EXPECT_EQ(run(T_FLUSH, 0, 0, false), S_OK);
  EXPECT_EQ(disk.log, (std::vector{Operation::Write, Operation::Flush}));
  driver.write(window::Device, config::writeback, 1, 0);
  EXPECT_EQ(driver.config<u8>(config::writeback), 0u);
  disk.log.clear();
  EXPECT_EQ(run(T_OUT, 0, 512, false), S_OK);
  EXPECT_EQ(run(T_IN, 0, 512, true), S_OK);
  EXPECT_EQ(disk.log, (std::vector{Operation::Write, Operation::Flush, Operation::Read}));
  driver.start((kAll & ~FLUSH) | GetParam());  // a driver that knows no flush has no cache
  disk.log.clear();
  EXPECT_EQ(run(T_OUT, 0, 512, false), S_OK);
  EXPECT_EQ(disk.log, (std::vector{Operation::Write, Operation::Flush}));
}

TEST_P(BlkTest, QueuesWorkSideBySide) {
  disk.hold = true;
  add(T_IN, 0, 512, true, 0);
  driver.notify(0);
  add(T_IN, 1, 512, true, 1);
  driver.notify(1);
  EXPECT_EQ(disk.waiting(), 2u);
  EXPECT_FALSE(driver.ring(0).take_used());
  disk.complete_all();
  EXPECT_TRUE(driver.ring(0).take_used());
  EXPECT_TRUE(driver.ring(1).take_used());
  EXPECT_EQ(driver.msi.take(0x41), 1u);
  EXPECT_EQ(driver.msi.take(0x42), 1u);
}

TEST_P(BlkTest, RequestsWithoutHeaderOrStatusNeedAReset) {
  driver.ring(0).add({{kHeader, 16}, {kBuffer, 512}});
  driver.notify(0);
  EXPECT_TRUE(driver.needs_reset());
  driver.start(kAll | GetParam());
  EXPECT_FALSE(driver.needs_reset());
  driver.ring(0).add({{kHeader, 15}, {kStatus, 1, true}});
  driver.notify(0);
  EXPECT_TRUE(driver.needs_reset());
}

TEST_P(BlkTest, ResetWaitsForWhatIsInFlight) {
  disk.hold = true;
  add(T_IN, 0, 512, true);
  driver.notify(0);
  EXPECT_EQ(disk.waiting(), 1u);
  driver.set_status(0);
  EXPECT_EQ(disk.waiting(), 0u);
  EXPECT_EQ(driver.status(), 0u);
  EXPECT_EQ(0, std::memcmp(buffer(), disk.bytes.data(), 512));
}

TEST_P(BlkTest, NothingBeginsWhileItIsPausedAndAllIsDoneAfterwards) {
  disk.hold = true;
  add(T_IN, 0, 512, true);
  driver.notify(0);
  driver.device.pause();
  EXPECT_EQ(disk.waiting(), 0u);
  EXPECT_TRUE(driver.ring(0).take_used());
  add(T_IN, 1, 512, true);
  driver.notify(0);
  EXPECT_EQ(disk.waiting(), 0u);
  EXPECT_FALSE(driver.ring(0).take_used());
  disk.hold = false;
  driver.device.resume();
  EXPECT_TRUE(driver.ring(0).take_used());
  EXPECT_EQ(status(), S_OK);
}

TEST_P(BlkTest, ARestoredDeviceGoesOnWithWhatIsAvailable) {
  EXPECT_EQ(run(T_IN, 0, 512, true), S_OK);
  driver.write(window::Device, config::writeback, 1, 0);
  driver.device.pause();
  add(T_IN, 5, 512, true);
  const auto record = driver.device.save();
  driver.device.reset();
  EXPECT_EQ(driver.status(), 0u);
  ASSERT_TRUE(driver.device.load(record));
  EXPECT_EQ(driver.device.save().bytes, record.bytes);
  EXPECT_EQ(driver.config<u8>(config::writeback), 0u);
  EXPECT_FALSE(driver.ring(0).take_used());
  driver.device.resume();
  EXPECT_TRUE(driver.ring(0).take_used());
  EXPECT_EQ(0, std::memcmp(buffer(), &disk.bytes[5 * 512], 512));
}

TEST_P(BlkTest, TwoThreadsMayRingTheSameBell) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) driver.notify(0);
  });
  unsigned done = 0;
  for (unsigned i = 0; i < 5000; ++i) {
    add(T_IN, i % 2048, 512, true);
    driver.notify_if_wanted(0);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    bool used = false;
    while (!(used = driver.ring(0).take_used().has_value()) && std::chrono::steady_clock::now() < end) {
    }
    if (!used || status() != S_OK) break;
    ++done;
  }
  stop = true;
  other.join();
  EXPECT_EQ(done, 5000u);
}

TEST_P(BlkTest, NothingIsLostWhileADiskOnAnotherThreadIsPausedSavedAndReset) {
  disk.hold = true;
  std::atomic<bool> stop{false};
  std::thread completer([&] {
    while (!stop) disk.complete_all();
  });
  const Header header{.type = T_IN, .reserved = 0, .sector = 1};
  driver.memory.write(kHeader, &header, sizeof header);
  unsigned added = 0, done = 0;
  const auto take = [&] {
    for (unsigned queue : {0u, 1u}) {
      while (driver.ring(queue).take_used()) ++done;
    }
  };
  for (unsigned step = 0; step < 800; ++step) {
    const unsigned queue = step % 2;
    while (driver.ring(queue).free() >= 3 && step % 7 != 0) {
      // Each with a page of its own.
      const u64 page = kBuffer + 0x1000 * (added++ % 64);
      driver.ring(queue).add({{kHeader, 16}, {page, 512, true}, {page + 512, 1, true}});
    }
    driver.notify_if_wanted(queue);
    if (step % 5 == 0) {
      driver.device.pause();
      EXPECT_EQ(disk.waiting(), 0u);
      take();
      const unsigned before = done;
      const auto record = driver.device.save();
      if (step % 10 == 0) {
        EXPECT_TRUE(driver.device.load(record));
      }
      take();
      EXPECT_EQ(done, before);
      driver.device.resume();
    }
    if (step % 201 == 200) {
      driver.start(kAll | GetParam());  // what was not used yet is forgotten
      EXPECT_EQ(disk.waiting(), 0u);
      added = done = 0;
    }
    take();
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (done != added && std::chrono::steady_clock::now() < end) {
    driver.notify_if_wanted(0);
    driver.notify_if_wanted(1);
    take();
  }
  stop = true;
  completer.join();
  EXPECT_EQ(done, added);
  EXPECT_GT(added, 100u);
}

INSTANTIATE_TEST_SUITE_P(Rings, BlkTest,
                         testing::Values(0, feature::EVENT_IDX, feature::RING_PACKED,
                                         feature::RING_PACKED | feature::EVENT_IDX));

}  // namespace
}  // namespace vireo::virtio
