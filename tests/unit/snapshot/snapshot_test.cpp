#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/bits.h"
#include "host/pagemap.h"
#include "snapshot/contents.h"
#include "snapshot/crc32c.h"
#include "snapshot/file.h"
#include "snapshot/pages.h"

namespace vireo::snapshot {
namespace {

class ByteSink final : public Sink {
 public:
  Result<> write(std::span<const u8> more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return {};
  }
  std::vector<u8> bytes;
};

class ByteSource final : public Source {
 public:
  explicit ByteSource(std::span<const u8> bytes) : bytes_(bytes) {}
  Result<std::size_t> read(std::span<u8> to) override {
    const auto count = std::min(to.size(), bytes_.size());
    std::copy_n(bytes_.begin(), count, to.begin());
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  std::span<const u8> bytes_;
};

vm::GuestMemory make_memory(u64 size) {
  auto memory = vm::GuestMemory::create({{0, size, 0}});
  EXPECT_TRUE(memory) << memory.error().message;
  return std::move(*memory);
}

Contents make_contents(const vm::GuestMemory& memory) {
  Contents contents;
  auto& machine = contents.machine;
  machine.name = "test";
  machine.machine = "pc";
  machine.tsc_khz = 2'000'000;
  machine.cpus = 2;
  machine.memory = memory.size();
  machine.slots = slots_of(memory);
  machine.append = "console=ttyS0";
  contents.states = {{"clock", 1, {1, 2, 3}}, {"uart0", 7, {}}, {"pit", 2, std::vector<u8>(1000, 5)}};
  contents.cpus.resize(2);
  contents.cpus[0].regs.rip = 0xFFFF'8000'1234'5678;
  contents.cpus[1].sys.cr3 = 0x1000;
  contents.cpus[1].fpu.zmm[31][63] = 9;
  return contents;
}

std::vector<u8> saved(const Contents& contents, const vm::GuestMemory& memory) {
  ByteSink sink;
  Writer writer(sink);
  EXPECT_TRUE(save(contents, memory, host::Pagemap::open(), writer));
  EXPECT_TRUE(writer.end());
  return std::move(sink.bytes);
}

std::vector<u8> small_file() {
  const auto memory = make_memory(1 * kMiB);
  memory.base()[5] = 1;
  std::memset(memory.base() + 700 * kKiB, 0xAB, 5000);
  return saved(make_contents(memory), memory);
}

bool accepts(std::span<const u8> bytes) {
  ByteSource source(bytes);
  return examine(source).has_value();
}

TEST(Crc32c, IsTheOneOfRfc3720) {
  const std::string digits = "123456789";
  EXPECT_EQ(crc32c(0, {reinterpret_cast<const u8*>(digits.data()), 9}), 0xE3069283);
  EXPECT_EQ(crc32c(0, std::vector<u8>(32, 0)), 0x8A9136AA);
  const std::vector<u8> ones(32, 0xFF);
  EXPECT_EQ(crc32c(crc32c(0, std::span(ones).first(13)), std::span(ones).subspan(13)), 0x62A8AB43);
}

TEST(Snapshot, ComesBackAsItWasSaved) {
  auto memory = make_memory(6 * kMiB + 3 * kPageSize);
  std::mt19937_64 random(1);
  for (u64 page = 0; page < memory.size(); page += kPageSize) {
    if (random() % 3 == 0) {
      for (u64 at = 0; at < kPageSize; at += 8) store(memory.base() + page + at, random() & random());
    }
  }
  memory.base()[memory.size() - 1] = 0x77;
  const auto contents = make_contents(memory);
  const auto bytes = saved(contents, memory);

  ByteSource first(bytes);
  const auto read = examine(first);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->machine.name, "test");
  EXPECT_EQ(read->machine.append, "console=ttyS0");
  EXPECT_EQ(read->machine.slots, contents.machine.slots);
  ASSERT_EQ(read->states.size(), 3u);
  EXPECT_EQ(read->states[1].name, "uart0");
  EXPECT_EQ(read->states[1].version, 7);
  EXPECT_EQ(read->states[2].bytes, contents.states[2].bytes);
  ASSERT_EQ(read->cpus.size(), 2u);
  EXPECT_EQ(read->cpus[0].regs.rip, 0xFFFF'8000'1234'5678);
  EXPECT_EQ(read->cpus[1].fpu.zmm[31][63], 9);

  auto restored = make_memory(memory.size());
  ByteSource second(bytes);
  ASSERT_TRUE(load_memory(second, restored));
  EXPECT_EQ(std::memcmp(memory.base(), restored.base(), memory.size()), 0);
}

TEST(Snapshot, SkipsPagesWithoutContent) {
  const auto memory = make_memory(1 * kGiB);
  memory.base()[600 * kMiB] = 1;
  std::memset(memory.base() + 64 * kMiB, 0, 8 * kMiB);  // touched, but zero
  EXPECT_LT(saved(make_contents(memory), memory).size(), 16 * kKiB);
  const auto pagemap_file = host::Pagemap::open();
  EXPECT_EQ(host::Pagemap(pagemap_file).content(memory.base() + 700 * kMiB, 64), 0u)
      << "saving touched the guest's memory";
}

TEST(Snapshot, CutOffAnywhereIsRefused) {
  const auto bytes = small_file();
  ASSERT_TRUE(accepts(bytes));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    ASSERT_FALSE(accepts(std::span(bytes).first(length))) << length;
  }
}

TEST(Snapshot, EveryFlippedBitIsNoticed) {
  auto bytes = small_file();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const u8 flip = static_cast<u8>(1u << (at % 8));
    bytes[at] ^= flip;
    ASSERT_FALSE(accepts(bytes)) << at;
    bytes[at] ^= flip;
  }
}

TEST(Snapshot, BytesAfterTheEndMarkAreRefused) {
  auto bytes = small_file();
  bytes.push_back(0);
  EXPECT_FALSE(accepts(bytes));
}

TEST(Snapshot, ForeignAndNewerFilesAreNamedAsSuch) {
  const std::string foreign = "this is no state file at all";
  ByteSource text({reinterpret_cast<const u8*>(foreign.data()), foreign.size()});
  const auto refused = examine(text);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Usage);
  EXPECT_NE(refused.error().message.find("not a state file"), std::string::npos);

  auto bytes = small_file();
  store(bytes.data() + 8, kFormatVersion + 1);
  store(bytes.data() + 12, crc32c(0, std::span(bytes).first(12)));
  ByteSource newer(bytes);
  const auto too_new = examine(newer);
  ASSERT_FALSE(too_new);
  EXPECT_NE(too_new.error().message.find("format 2"), std::string::npos) << too_new.error().message;
}

TEST(Snapshot, MemoryOutsideTheMachineOrOutOfOrderIsRefused) {
  for (const u64 offset : {u64{0}, kBlockSize, 100 * kMiB, ~u64{0} - kBlockSize + 1, u64{4096}}) {
    PageReader reader;
    ASSERT_TRUE(reader.check(std::vector<u8>{0, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, kMiB));  // block 1
    std::vector<u8> head(16, 0xFF);
    store(head.data(), offset);
    EXPECT_FALSE(reader.check(head, kMiB)) << offset;
  }
  PageReader reader;
  std::vector<u8> head(16, 0xFF);
  store(head.data(), u64{0});
  EXPECT_FALSE(reader.check(head, 63 * kPageSize)) << "the last page lies outside";
  EXPECT_FALSE(reader.check(std::span(head).first(15), kMiB));
}

TEST(Snapshot, MemoryThatDoesNotDecompressToItsPagesIsRefused) {
  auto memory = make_memory(kMiB);
  std::vector<u8> payload(16 + 40, 0x5A);
  store(payload.data(), u64{0});
  store(payload.data() + 8, u64{1});
  PageReader reader;
  EXPECT_FALSE(reader.load(payload, memory));
}

TEST(Snapshot, DescriptionsThatMakeNoSenseAreRefused) {
  const auto memory = make_memory(kMiB);
  const auto good = make_contents(memory).machine;
  EXPECT_TRUE(check(good));
  auto bad = good;
  bad.cpus = 0;
  EXPECT_FALSE(check(bad));
  bad = good;
  bad.memory -= kPageSize;
  EXPECT_FALSE(check(bad)) << "more RAM than memory";
  bad = good;
  bad.memory += kPageSize;
  EXPECT_TRUE(check(bad)) << "the PC has a hole below 1 MiB";
  bad = good;
  bad.slots[0].gpa = ~u64{0} - kPageSize + 1;
  EXPECT_FALSE(check(bad));
  bad = good;
  bad.name = "\x1b[2J";
  EXPECT_FALSE(check(bad));
}

TEST(Snapshot, CarriesTheFilesAGuestRebootNeeds) {
  const auto memory = make_memory(kMiB);
  std::vector<u8> kernel(3 * kMiB / 2);
  std::mt19937 random(2);
  for (auto& byte : kernel) byte = static_cast<u8>(random());
  ByteSink sink;
  Writer writer(sink);
  ASSERT_TRUE(save(make_contents(memory), memory, host::Pagemap::open(), writer));
  ByteSource from(kernel);
  ASSERT_TRUE(save_boot_file(writer, BootFile::Kernel, from));
  ASSERT_TRUE(writer.end());
  ASSERT_TRUE(accepts(sink.bytes));

  ByteSource first(sink.bytes), second(sink.bytes);
  ByteSink got, none;
  EXPECT_EQ(load_boot_file(first, BootFile::Kernel, got).value(), true);
  EXPECT_EQ(got.bytes, kernel);
  EXPECT_EQ(load_boot_file(second, BootFile::Initrd, none).value(), false);
}

TEST(Snapshot, AHalfWrittenFileNeverReplacesAGoodOne) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("vireo-snapshot-{}", ::getpid());
  std::filesystem::create_directory(folder);
  const auto path = folder / "vm.state";
  std::ofstream(path) << "good";
  const auto place = host::Place::find(path);
  ASSERT_TRUE(place);
  {
    auto file = host::NewFile::create(*place);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(std::vector<u8>(100, 1)));
  }
  EXPECT_EQ(std::filesystem::file_size(path), 4u);
  EXPECT_FALSE(std::filesystem::exists(folder / "vm.state.tmp"));

  auto file = host::NewFile::create(*place);
  ASSERT_TRUE(file);
  FileSink sink(std::move(*file));
  const auto bytes = small_file();
  ASSERT_TRUE(sink.write(bytes));
  ASSERT_TRUE(sink.commit());
  auto opened = host::open_to_read(path);
  ASSERT_TRUE(opened);
  FileSource source(*opened, path);
  EXPECT_TRUE(examine(source));
  std::filesystem::remove_all(folder);
}

TEST(Snapshot, AStateFileMayNotReplaceADevice) {
  const auto place = host::Place::find("/dev/null");
  ASSERT_TRUE(place);
  const auto refused = host::NewFile::create(*place);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Usage);
}

}  // namespace
}  // namespace vireo::snapshot
