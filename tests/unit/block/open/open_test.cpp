#include "block/open/open.h"

#include "block/qcow2/create.h"
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

TEST(OpeningADisk, ConnectsToNobodyWhomAnImageNames) {
  for (const char* name : {"nbd://host/x", "file:nbd://host/x", "nbd+unix:///?socket=/x", "json:{}"}) {
    EXPECT_EQ(resolve("/images/disk", name).error().kind, ErrorKind::Usage) << name;
  }
  EXPECT_EQ(resolve("nbd+unix:///?socket=/run/a", "b").error().kind, ErrorKind::Usage);
  EXPECT_EQ(resolve("nbd+unix:///?socket=/run/a", "/images/base"), "/images/base");
}

TEST(OpeningADisk, NamesWhatIsNotThere) {
  EXPECT_EQ(open_image("/nonexistent/disk", {}, std::make_shared<IoThreads>()).error().kind, ErrorKind::NotFound);
  EXPECT_EQ(open_image("/", {}, std::make_shared<IoThreads>()).error().kind, ErrorKind::Usage);
  EXPECT_EQ(open_image("/dev/null", {}, std::make_shared<IoThreads>()).error().kind, ErrorKind::Usage);
}

/// A chain of images in a folder of its own.
struct Chain : testing::Test {
  void SetUp() override {
    folder = testing::TempDir() + "vireo-chain-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string path(const std::string& name) const { return folder + "/" + name; }
  void make(const std::string& name, const std::string& backing, const std::string& format) const {
    const auto file = open_file(path(name), {.write = true, .create = true}, threads);
    ASSERT_TRUE(file);
    qcow2::NewImage image;
    image.size = kMiB;
    image.backing_file = backing;
    image.backing_format = format;
    ASSERT_TRUE(qcow2::create(**file, image));
  }
  std::string folder;
  std::shared_ptr<IoThreads> threads = std::make_shared<IoThreads>();
};

TEST_F(Chain, IsReadThroughAllItsImages) {
  std::ofstream(path("base"), std::ios::binary) << std::string(kMiB, 'b');
  make("middle", "base", "raw");
  make("top", "middle", "qcow2");
  {
    const auto middle = open_image(path("middle"), {}, threads);
    ASSERT_TRUE(middle && (*middle)->write(512, std::vector<u8>(512, 'm')));
  }
  const auto top = open_image(path("top"), {}, threads);
  ASSERT_TRUE(top) << top.error().message;
  ASSERT_TRUE((*top)->write(1024, std::vector<u8>(512, 't')));
  std::vector<u8> bytes(2048);
  ASSERT_TRUE((*top)->read(0, bytes));
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()),
            std::string(512, 'b') + std::string(512, 'm') + std::string(512, 't') + std::string(512, 'b'));
  EXPECT_EQ(open_image(path("middle"), {}, threads).error().kind, ErrorKind::WrongState) << "it is being read";
  EXPECT_TRUE(open_image(path("middle"), {.read_only = true}, threads));
}

TEST_F(Chain, ThatBitesItsTailIsRefused) {
  make("a", "b", "qcow2");
  make("b", "a", "qcow2");
  make("self", "self", "qcow2");
  for (const char* name : {"a", "self"}) {
    const auto refused = open_image(path(name), {.read_only = true}, threads);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::Usage) << refused.error().message;
  }
}

TEST_F(Chain, NamesWhatIsMissingOrNoFile) {
  make("a", "gone", "raw");
  EXPECT_EQ(open_image(path("a"), {}, threads).error().kind, ErrorKind::NotFound);
  make("b", "json:{}", "raw");
  EXPECT_EQ(open_image(path("b"), {}, threads).error().kind, ErrorKind::Usage);
}

TEST_F(Chain, IsReadPastThePageCache) {
  make("a", "", "");
  for (unsigned i = 0; i < 3; ++i) {
    const auto disk = open_qcow2(path("a"), {.cache = Cache::None}, threads);
    if (!disk) GTEST_SKIP() << disk.error().message;
    std::vector<u8> bytes(1024, static_cast<u8>('a' + i)), back(1024);
    ASSERT_TRUE((*disk)->write(512 * (1 + i * 300), bytes));
    ASSERT_TRUE((*disk)->write_compressed(65536 * 15, std::vector<u8>(65536, static_cast<u8>(i))));
    ASSERT_TRUE((*disk)->flush());
    ASSERT_TRUE((*disk)->read(512 * (1 + i * 300), back));
    EXPECT_EQ(back, bytes);
    ASSERT_TRUE((*disk)->read(65536 * 15, back));
    EXPECT_EQ(back, std::vector<u8>(1024, static_cast<u8>(i)));
  }
}

}  // namespace
}  // namespace vireo::block
