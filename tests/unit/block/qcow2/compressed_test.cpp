// Compressed clusters whose places change hands.
#include <gtest/gtest.h>

#include "block/open/open.h"
#include "unit/block/temporary_file.h"

namespace vireo::block {
namespace {

constexpr u64 kCluster = 64 * kKiB;

struct CompressedClusters : testing::Test {
  void SetUp() override {
    std::filesystem::remove(file.path());
    auto storage = open_file(file.path(), {.write = true, .create = true}, threads);
    ASSERT_TRUE(storage);
    qcow2::NewImage what;
    what.size = 8 * kCluster;
    ASSERT_TRUE(qcow2::create(**storage, what));
    storage->reset();
    auto opened = open_qcow2(file.path(), {}, threads);
    ASSERT_TRUE(opened);
    image = std::move(*opened);
  }
  void pack(u64 cluster, u8 value) {
    ASSERT_TRUE(image->write_compressed(cluster * kCluster, std::vector<u8>(kCluster, value)));
  }
  u8 first_byte(u64 cluster) {
    std::vector<u8> bytes(512);
    EXPECT_TRUE(image->read(cluster * kCluster, bytes));
    return bytes[0];
  }

  const test::TemporaryFile file;
  const std::shared_ptr<IoThreads> threads = std::make_shared<IoThreads>();
  std::unique_ptr<qcow2::Qcow2> image;
};

TEST_F(CompressedClusters, AreNotTakenForWhatWasAtTheirPlaceBeforeTheDiskShrank) {
  pack(7, 1);
  ASSERT_TRUE(image->flush());
  EXPECT_EQ(first_byte(7), 1);
  ASSERT_TRUE(image->resize(4 * kCluster));
  pack(0, 2);
  EXPECT_EQ(first_byte(0), 2);
}

TEST_F(CompressedClusters, AreNotTakenForWhatWasAtTheirPlaceBeforeASnapshotWasDeleted) {
  pack(7, 1);
  ASSERT_TRUE(image->create_snapshot("before"));
  ASSERT_TRUE(image->discard(7 * kCluster, kCluster));
  ASSERT_TRUE(image->flush());
  ASSERT_TRUE(image->apply_snapshot("before"));
  EXPECT_EQ(first_byte(7), 1);
  ASSERT_TRUE(image->discard(7 * kCluster, kCluster));
  ASSERT_TRUE(image->delete_snapshot("before"));
  pack(0, 2);
  EXPECT_EQ(first_byte(0), 2);
}

}  // namespace
}  // namespace vireo::block
