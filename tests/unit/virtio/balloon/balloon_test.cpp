#include "virtio/balloon/balloon.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "support/virtio_driver.h"

namespace vireo::virtio {
namespace {

using namespace balloon;
using test::VirtioDriver;

constexpr u64 kBuffer = VirtioDriver::kData, kPages = VirtioDriver::kData + 0x10000;

class BalloonTest : public testing::Test {
 protected:
  BalloonTest() { start(STATS_VQ | PAGE_REPORTING | DEFLATE_ON_OOM | PAGE_POISON); }
  void start(u64 features) {
    driver.enable();
    driver.start(features);
    for (u64 gpa = kPages; gpa < kPages + 0x8000; ++gpa) *driver.memory.at(gpa, 1) = 0xEE;
  }
  u8 byte(u64 gpa) { return *driver.memory.at(gpa, 1); }
  /// The pages by number from kPages on, whose first bytes are not zero any more.
  std::vector<unsigned> kept() {
    std::vector<unsigned> pages;
    for (unsigned i = 0; i < 8; ++i) {
      if (byte(kPages + i * kPage) != 0) pages.push_back(i);
    }
    return pages;
  }
  void inflate(const std::vector<u32>& numbers) {
    driver.memory.write(kBuffer, numbers.data(), 4 * numbers.size());
    driver.ring(inflateq).add({{kBuffer, static_cast<u32>(4 * numbers.size())}});
    driver.notify(inflateq);
    EXPECT_TRUE(driver.ring(inflateq).take_used());
  }
  void report(unsigned queue) {
    driver.ring(queue).add({{kPages + 0x1800, 0x2000, true}, {kPages + 0x5000, 0x1000, true}});
    driver.notify(queue);
    EXPECT_TRUE(driver.ring(queue).take_used());
  }
  void give_stats(const std::vector<std::pair<u16, u64>>& stats) {
    ByteWriter bytes;
    for (const auto& [tag, value] : stats) bytes.put(tag), bytes.put(value);
    driver.memory.write(kBuffer, bytes.bytes().data(), bytes.bytes().size());
    driver.ring(statsq).add({{kBuffer, static_cast<u32>(bytes.bytes().size())}});
    driver.notify_if_wanted(statsq);
  }

  Balloon* balloon = new Balloon;
  VirtioDriver driver{std::unique_ptr<Device>(balloon)};
};

TEST_F(BalloonTest, TheHostsWishIsInConfigurationSpace) {
  balloon->set_target(3 * kPage + 1);
  EXPECT_EQ(driver.config<u32>(config::num_pages), 3u);
  EXPECT_EQ(driver.msi.take(0x40), 1u);
  driver.write(window::Device, config::actual, 4, 2);
  EXPECT_EQ(balloon->given(), 2 * kPage);
}

TEST_F(BalloonTest, InflatedPagesGoBackToTheHost) {
  constexpr u32 kFirst = kPages / kPage;
  inflate({kFirst + 1, kFirst + 2, kFirst + 5, kFirst + 4, 0xFFFFFFFF, VirtioDriver::kMemory / kPage, kFirst + 7});
  EXPECT_EQ(kept(), (std::vector<unsigned>{0, 3, 6}));
}

TEST_F(BalloonTest, ReportedPagesGoBackToTheHost) {
  report(reporting_vq);
  EXPECT_EQ(kept(), (std::vector<unsigned>{0, 1, 3, 4, 6, 7}));  // of the first piece only the whole page
  EXPECT_EQ(byte(kPages + 0x1FFF), 0xEE);
  EXPECT_EQ(byte(kPages + 0x3000), 0xEE);
}

TEST_F(BalloonTest, OlderDriversReportInAnotherQueue) {
  report(3);
  EXPECT_EQ(kept().size(), 6u);
  start(PAGE_REPORTING);
  report(2);
  EXPECT_EQ(kept().size(), 6u);
}

TEST_F(BalloonTest, PagesWithAPatternStay) {
  driver.write(window::Device, config::poison_val, 4, 0xAAAAAAAA);
  report(reporting_vq);
  EXPECT_EQ(kept().size(), 8u);
  start(0);
  driver.ring(reporting_vq).add({{kPages, 0x1000, true}});
  driver.notify(reporting_vq);
  EXPECT_EQ(kept().size(), 8u);
}

TEST_F(BalloonTest, CodeCachesSeeThatPagesAreZero) {
  driver.memory.enter_code(kPages + 0x2100);
  const u32 before = driver.memory.generation(kPages + 0x2100);
  report(reporting_vq);
  EXPECT_NE(driver.memory.generation(kPages + 0x2100), before);
}

TEST_F(BalloonTest, StatisticsComeWhenAskedFor) {
  EXPECT_FALSE(balloon->ask_for_stats());  // no buffer yet
  give_stats({{S_MEMFREE, 1000}, {S_MEMTOT, 5000}, {99, 1}});
  EXPECT_EQ(balloon->stats()[S_MEMFREE], 1000u);
  EXPECT_EQ(balloon->stats()[S_MEMTOT], 5000u);
  EXPECT_EQ(balloon->stats()[S_CACHES], std::nullopt);
  EXPECT_FALSE(driver.ring(statsq).take_used());
  for (u64 round = 0; round < 3; ++round) {
    EXPECT_TRUE(balloon->ask_for_stats());
    ASSERT_TRUE(driver.ring(statsq).take_used());
    give_stats({{S_MEMFREE, 2000 + round}});
    EXPECT_EQ(balloon->stats()[S_MEMFREE], 2000 + round);
  }
}

TEST_F(BalloonTest, SavedStateComesBack) {
  balloon->set_target(100 * kPage);
  driver.write(window::Device, config::actual, 4, 60);
  driver.write(window::Device, config::poison_val, 4, 7);
  give_stats({{S_MEMFREE, 1}});
  driver.device.pause();
  const auto record = driver.device.save();
  driver.device.reset();
  balloon->set_target(0);
  ASSERT_TRUE(driver.device.load(record));
  driver.device.resume();
  EXPECT_EQ(driver.config<u32>(config::num_pages), 100u);
  EXPECT_EQ(balloon->given(), 60 * kPage);
  EXPECT_EQ(driver.config<u32>(config::poison_val), 7u);
  EXPECT_TRUE(balloon->ask_for_stats());
  EXPECT_TRUE(driver.ring(statsq).take_used());
}

}  // namespace
}  // namespace vireo::virtio
