#include "virtio/fs/fs.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "support/fake_vhost.h"
#include "support/virtio_driver.h"

namespace vireo::virtio {
namespace {

using namespace fs;
using test::VirtioDriver;

constexpr u64 kOut = VirtioDriver::kData, kIn = VirtioDriver::kData + 0x20000;
constexpr u32 kRead = 15;  // FUSE_READ

class FsTest : public testing::Test {
 protected:
  FsTest() { start(); }
  void start() {
    driver.enable();
    driver.start(0);
  }
  void send(u32 opcode, u64 unique = 1, u32 answer = 4096, unsigned queue = request) {
    const InHeader header{.len = sizeof header, .opcode = opcode, .unique = unique};
    driver.memory.write(kOut, &header, sizeof header);
    std::vector<test::Piece> pieces{{kOut, sizeof header}};
    if (answer != 0) pieces.push_back({kIn, answer, true});
    driver.ring(queue).add(pieces);
    driver.notify_if_wanted(queue);
  }
  std::optional<u32> written(unsigned queue = request) {
    const auto used = driver.ring(queue).take_used();
    return used ? std::optional(used->written) : std::nullopt;
  }
  void finish(u32 bytes = 16, u8 fill = 0) {
    backend.finish(0, bytes, fill);
    backend.tell(request);
  }
  void mount() {
    send(FUSE_INIT);
    finish();
    EXPECT_EQ(written(), 16u);
  }
  OutHeader answer() { return load<OutHeader>(driver.memory.at(kIn, sizeof(OutHeader))); }

  test::FakeVhost backend;
  VirtioDriver driver{std::make_unique<Fs>("work", backend)};
};

TEST_F(FsTest, TheGuestLearnsTheTag) {
  EXPECT_EQ(driver.config<u32>(config::tag), load<u32>("work"));
  EXPECT_EQ(driver.config<u32>(config::tag + 4), 0u);
  EXPECT_EQ(driver.config<u32>(config::num_request_queues), 1u);
}

TEST_F(FsTest, RequestsGoThereAndBack) {
  send(kRead);
  ASSERT_EQ(backend.taken.size(), 1u);
  EXPECT_EQ(backend.kicks, 1u);
  EXPECT_EQ(backend.taken[0].readable[0].iov_base, driver.memory.at(kOut, 1));
  EXPECT_EQ(backend.taken[0].writable[0].iov_base, driver.memory.at(kIn, 1));
  EXPECT_FALSE(written());
  finish(1000, 0x55);
  EXPECT_EQ(written(), 1000u);
  EXPECT_EQ(driver.msi.take(0x40 + 1 + request), 1u);
}

TEST_F(FsTest, TheyMayBeDoneInAnotherOrder) {
  for (u64 unique = 0; unique < 3; ++unique) send(kRead, unique);
  backend.finish(2, 20);
  backend.finish(0, 30);
  backend.tell(request);
  EXPECT_EQ(driver.ring(request).take_used()->written, 20u);
  EXPECT_EQ(driver.ring(request).take_used()->written, 30u);
  EXPECT_FALSE(written());
}

TEST_F(FsTest, CodeCachesHearOfWhatWasWrittenBeforeTheGuestDoes) {
  driver.memory.enter_code(kIn + 0x100);
  driver.memory.enter_code(kIn + 0x800);
  const u32 first = driver.memory.generation(kIn + 0x100), second = driver.memory.generation(kIn + 0x800);
  send(kRead);
  finish(0x200, 0x90);
  EXPECT_NE(driver.memory.generation(kIn + 0x100), first);
  EXPECT_EQ(driver.memory.generation(kIn + 0x800), second);
}

TEST_F(FsTest, WhatFindsNoSpaceWaits) {
  backend.room = 2;
  for (u64 unique = 0; unique < 4; ++unique) send(kRead, unique);
  EXPECT_EQ(backend.taken.size(), 2u);
  finish();
  EXPECT_EQ(backend.taken.size(), 2u);
  finish();
  EXPECT_EQ(backend.taken.size(), 2u);
  finish();
  finish();
  for (unsigned i = 0; i < 4; ++i) EXPECT_TRUE(written());
}

TEST_F(FsTest, WhatIsNoMessageIsAnsweredHere) {
  driver.ring(request).add({{kOut, 20}, {kIn, 100, true}});
  driver.notify(request);
  EXPECT_TRUE(backend.taken.empty());
  EXPECT_EQ(written(), sizeof(OutHeader));
  EXPECT_EQ(answer().error, kEio);
  driver.ring(hiprio).add({{kOut, 20}});
  driver.notify(hiprio);
  EXPECT_EQ(written(hiprio), 0u);
}

TEST_F(FsTest, RequestsOfALostProcessFail) {
  mount();
  driver.memory.enter_code(kIn);
  const u32 generation = driver.memory.generation(kIn);
  send(kRead, 77);
  backend.lose();
  EXPECT_EQ(written(), sizeof(OutHeader));
  EXPECT_EQ(answer().error, kEio);
  EXPECT_EQ(answer().unique, 77u);
  EXPECT_NE(driver.memory.generation(kIn), generation);
  send(kRead, 78);
  EXPECT_EQ(written(), sizeof(OutHeader));
  EXPECT_EQ(answer().unique, 78u);
  EXPECT_FALSE(driver.needs_reset());
  EXPECT_TRUE(driver.device.can_save());
}

TEST_F(FsTest, NothingIsOnItsWayWhileTheMachineStandsStill) {
  send(kRead);
  send(kRead);
  driver.device.pause();
  EXPECT_EQ(backend.waits, 1u);
  EXPECT_TRUE(written());
  EXPECT_TRUE(written());
  send(kRead);
  EXPECT_TRUE(backend.taken.empty());
  driver.device.resume();
  EXPECT_EQ(backend.taken.size(), 1u);
}

TEST_F(FsTest, AProcessThatHangsDoesNotKeepTheMachine) {
  send(kRead);
  backend.hangs = true;
  driver.device.pause();
  EXPECT_EQ(written(), sizeof(OutHeader));
  EXPECT_EQ(answer().error, kEio);
  driver.device.resume();
}

TEST_F(FsTest, AMountedFileSystemCannotBeSaved) {
  EXPECT_TRUE(driver.device.can_save());
  mount();
  const auto can = driver.device.can_save();
  ASSERT_FALSE(can);
  EXPECT_EQ(can.error().kind, ErrorKind::WrongState);
  send(FUSE_DESTROY);
  EXPECT_FALSE(driver.device.can_save());
  finish();
  EXPECT_TRUE(driver.device.can_save());
}

TEST_F(FsTest, ADriverThatIsResetIsUnmounted) {
  mount();
  send(kRead);
  driver.set_status(0);
  EXPECT_TRUE(driver.device.can_save());
  const auto header = load<InHeader>(backend.scratch().data());
  EXPECT_EQ(header.opcode, FUSE_DESTROY);
  EXPECT_NE(header.unique, 0u);  // virtiofsd ends otherwise
  EXPECT_TRUE(backend.taken.empty());
  start();
  mount();
}

TEST_F(FsTest, SavedStateComesBack) {
  send(kRead);
  driver.device.pause();
  const auto record = driver.device.save();
  driver.device.reset();
  ASSERT_TRUE(driver.device.load(record));
  EXPECT_EQ(driver.device.save().bytes, record.bytes);
  driver.device.resume();
  send(kRead);
  EXPECT_EQ(backend.taken.size(), 1u);
}

}  // namespace
}  // namespace vireo::virtio
