#include "virtio/rng/rng.h"

#include <gtest/gtest.h>

#include "support/virtio_driver.h"

namespace vireo::virtio {
namespace {

TEST(Rng, FillsBuffersUpToALimit) {
  test::VirtioDriver driver(std::make_unique<Rng>([](std::span<u8> to) { std::ranges::fill(to, u8{0xA5}); }));
  driver.enable();
  driver.start(0);
  driver.ring(0).add({{driver.kData, 100, true}, {driver.kData + 0x1000, 10, true}});
  driver.ring(0).add({{driver.kData + 0x2000, 10000, true}});
  driver.notify(0);
  EXPECT_EQ(driver.ring(0).take_used()->written, 110u);
  EXPECT_EQ(driver.ring(0).take_used()->written, 4096u);
  EXPECT_EQ(*driver.memory.at(driver.kData + 99, 1), 0xA5);
  EXPECT_EQ(*driver.memory.at(driver.kData + 100, 1), 0);
  EXPECT_EQ(*driver.memory.at(driver.kData + 0x1009, 1), 0xA5);
  EXPECT_EQ(*driver.memory.at(driver.kData + 0x100A, 1), 0);
}

}  // namespace
}  // namespace vireo::virtio
