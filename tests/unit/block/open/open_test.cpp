#include "block/open/open.h"

#include "unit/block/temporary_file.h"

namespace vireo::block {
namespace {

auto open(const test::TemporaryFile& file, const OpenOptions& options = {}) {
  return open_image(file.path(), options, std::make_shared<IoThreads>());
}

TEST(OpeningADisk, TakesWhatMeansNothingForRaw) {
  const test::TemporaryFile file(std::string(4096, 'a'));
  const auto disk = open(file);
  ASSERT_TRUE(disk);
  EXPECT_EQ((*disk)->format(), "raw");
  EXPECT_FALSE((*disk)->geometry().read_only);
}

TEST(OpeningADisk, RefusesAFormatItCannotReadUnlessItIsSaidToBeRaw) {
  const test::TemporaryFile file("vhdxfile" + std::string(4096, 'a'));
  const auto disk = open(file);
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().kind, ErrorKind::Usage);
  EXPECT_TRUE(open(file, {.format = Format::Raw}));
}

TEST(OpeningADisk, LocksItAgainstOthers) {
  const test::TemporaryFile file(std::string(4096, 'a'));
  const auto disk = open(file);
  ASSERT_TRUE(disk);
  EXPECT_EQ(open(file).error().kind, ErrorKind::WrongState);
  EXPECT_EQ(open(file, {.read_only = true}).error().kind, ErrorKind::WrongState);
  EXPECT_TRUE(open(file, {.read_only = true, .lock = false}));
}

TEST(OpeningADisk, NamesWhatIsNotThere) {
  EXPECT_EQ(open_image("/nonexistent/disk", {}, std::make_shared<IoThreads>()).error().kind, ErrorKind::NotFound);
  EXPECT_EQ(open_image("/", {}, std::make_shared<IoThreads>()).error().kind, ErrorKind::Usage);
  EXPECT_EQ(open_image("/dev/null", {}, std::make_shared<IoThreads>()).error().kind, ErrorKind::Usage);
}

}  // namespace
}  // namespace vireo::block
