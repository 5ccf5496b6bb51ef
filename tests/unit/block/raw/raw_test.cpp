#include "block/raw/raw.h"

#include <semaphore>

#include "block/file/file.h"
#include "unit/block/temporary_file.h"

namespace vireo::block {
namespace {

std::unique_ptr<Image> open(const test::TemporaryFile& file, Guard guard = Guard::Off, FileOptions options = {}) {
  auto storage = open_file(file.path(), options, std::make_shared<IoThreads>());
  EXPECT_TRUE(storage) << storage.error().message;
  return make_raw(std::move(*storage), guard);
}

Status submit(Disk& disk, Request request) {
  struct Waited : Request {
    std::binary_semaphore ended{0};
    Status status{};
  } waited;
  static_cast<Request&>(waited) = request;
  waited.done = [](Request& ended, Status status) {
    static_cast<Waited&>(ended).status = status;
    static_cast<Waited&>(ended).ended.release();
  };
  disk.submit(waited);
  waited.ended.acquire();
  return waited.status;
}

TEST(RawDisk, IsTheBytesOfItsFile) {
  const test::TemporaryFile file(std::string(1 << 20, 'a'));
  const auto disk = open(file, Guard::Off, {.write = true});
  EXPECT_EQ(disk->geometry().size, 1u << 20);
  std::string text(1024, 'b');
  const iovec pieces[] = {{text.data(), 100}, {text.data() + 100, 924}};
  EXPECT_EQ(submit(*disk, {.operation = Operation::Write, .offset = 512, .length = 1024, .memory = pieces}),
            Status::Ok);
  EXPECT_EQ(submit(*disk, {.operation = Operation::Flush}), Status::Ok);
  EXPECT_EQ(file.content().substr(511, 1026), 'a' + text + 'a');
  std::string back(1024, ' ');
  const iovec piece{back.data(), back.size()};
  EXPECT_EQ(submit(*disk, {.operation = Operation::Read, .offset = 1024, .length = 1024, .memory = {&piece, 1}}),
            Status::Ok);
  EXPECT_EQ(back, std::string(512, 'b') + std::string(512, 'a'));
}

TEST(RawDisk, TakesWholeBlocksWithinItsSizeOnly) {
  const test::TemporaryFile file(std::string(4096, 'a'));
  const auto disk = open(file, Guard::Off, {.write = true});
  std::vector<u8> bytes(8192);
  struct Case {
    u64 offset, length;
  };
  for (const auto& [offset, length] :
       {Case{1, 512}, {0, 513}, {4096, 512}, {3584, 1024}, {~u64{511}, 512}, {0, 8192}}) {
    const iovec piece{bytes.data(), length};
    for (const auto operation : {Operation::Read, Operation::Write, Operation::Discard, Operation::WriteZeroes}) {
      EXPECT_EQ(submit(*disk, {.operation = operation, .offset = offset, .length = length, .memory = {&piece, 1}}),
                Status::OutOfRange);
    }
  }
  EXPECT_EQ(file.content(), std::string(4096, 'a'));
}

TEST(RawDisk, RoundsAFileUpToWholeBlocks) {
  const test::TemporaryFile file(std::string(700, 'a'));
  const auto disk = open(file, Guard::Off, {.write = true});
  EXPECT_EQ(disk->geometry().size, 1024u);
  std::vector<u8> block(512);
  ASSERT_TRUE(disk->read(512, block));
  EXPECT_EQ(std::string(block.begin(), block.end()), std::string(188, 'a') + std::string(324, '\0'));
  ASSERT_TRUE(disk->write(512, block));
  EXPECT_EQ(file.content().size(), 1024u);
}

TEST(RawDisk, GivesSpaceBack) {
  const test::TemporaryFile file(std::string(1 << 20, 'a'));
  const auto disk = open(file, Guard::Off, {.write = true});
  EXPECT_EQ(disk->extent_at(0, 1 << 20).value(), (Extent{Extent::Kind::Data, 1 << 20}));
  ASSERT_EQ(submit(*disk, {.operation = Operation::Discard, .offset = 65536, .length = 65536}), Status::Ok);
  ASSERT_EQ(submit(*disk, {.operation = Operation::WriteZeroes, .offset = 262144, .length = 65536, .may_unmap = true}),
            Status::Ok);
  ASSERT_EQ(submit(*disk, {.operation = Operation::WriteZeroes, .offset = 524288, .length = 512}), Status::Ok);
  EXPECT_EQ(disk->extent_at(65536, 1 << 19).value(), (Extent{Extent::Kind::Zero, 65536}));
  EXPECT_EQ(disk->extent_at(131072, 1 << 19).value(), (Extent{Extent::Kind::Data, 131072}));
  EXPECT_EQ(disk->extent_at(262144, 1 << 19).value(), (Extent{Extent::Kind::Zero, 65536}));
  const auto content = file.content();
  EXPECT_EQ(content.size(), 1u << 20);
  EXPECT_EQ(content.substr(524287, 514), 'a' + std::string(512, '\0') + 'a');
}

TEST(RawDisk, ThatIsReadOnlyRefusesWrites) {
  const test::TemporaryFile file(std::string(4096, 'a'));
  const auto disk = open(file);
  EXPECT_TRUE(disk->geometry().read_only);
  std::vector<u8> block(512);
  const iovec piece{block.data(), block.size()};
  EXPECT_EQ(submit(*disk, {.operation = Operation::Write, .length = 512, .memory = {&piece, 1}}), Status::ReadOnly);
  EXPECT_EQ(submit(*disk, {.operation = Operation::Discard, .length = 512}), Status::ReadOnly);
  EXPECT_EQ(submit(*disk, {.operation = Operation::Flush}), Status::Ok);
}

TEST(RawDisk, ThatNobodyCalledRawDoesNotBecomeAnother) {
  const test::TemporaryFile file(std::string(4096, 'a'));
  const auto disk = open(file, Guard::On, {.write = true});
  std::string header = "QFI\xFB" + std::string(1020, '\0');
  const iovec pieces[] = {{header.data(), 2}, {header.data() + 2, 1022}};
  const Request write{.operation = Operation::Write, .length = 1024, .memory = pieces};
  EXPECT_EQ(submit(*disk, write), Status::IoError);
  EXPECT_EQ(disk->execute(write), Status::IoError);
  EXPECT_EQ(file.content(), std::string(4096, 'a'));
  header[0] = 'q';
  EXPECT_EQ(submit(*disk, write), Status::Ok);
  EXPECT_EQ(file.content(), header + std::string(3072, 'a'));
  header[0] = 'Q';
  EXPECT_EQ(submit(*open(file, Guard::Off, {.write = true, .lock = false}), write), Status::Ok);
}

TEST(RawDisk, ReadsAndWritesPastThePageCache) {
  const test::TemporaryFile file(std::string(1 << 16, 'a'));
  auto storage = open_file(file.path(), {.write = true, .cache = Cache::None}, std::make_shared<IoThreads>());
  if (!storage) GTEST_SKIP() << storage.error().message;
  const auto disk = make_raw(std::move(*storage), Guard::Off);
  const u64 block = disk->geometry().block_size;
  std::vector<u8> bytes(8 * block + 1, 'b');
  for (const u64 skew : {0, 1}) {  // memory that is not aligned is no obstacle
    const iovec piece{bytes.data() + skew, 8 * block};
    EXPECT_EQ(
        submit(*disk, {.operation = Operation::Write, .offset = block, .length = 8 * block, .memory = {&piece, 1}}),
        Status::Ok);
    std::vector<u8> back(8 * block);
    const iovec back_piece{back.data(), back.size()};
    EXPECT_EQ(
        submit(*disk, {.operation = Operation::Read, .offset = block, .length = 8 * block, .memory = {&back_piece, 1}}),
        Status::Ok);
    EXPECT_EQ(back, std::vector<u8>(8 * block, 'b'));
  }
}

TEST(Probe, KnowsOtherFormats) {
  const auto text = [](std::string_view bytes) {
    return probe({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
  };
  EXPECT_EQ(text("QFI\xFB\0\0\0\3"), "qcow2");
  EXPECT_EQ(text("KDMV"), "vmdk");
  EXPECT_EQ(text("vhdxfile"), "vhdx");
  EXPECT_EQ(text(std::string(0x40, ' ') + "\x7F\x10\xDA\xBE"), "vdi");
  EXPECT_EQ(text("QFI"), "");
  EXPECT_EQ(text(""), "");
  EXPECT_EQ(text(std::string(512, '\0')), "");
}

}  // namespace
}  // namespace vireo::block
