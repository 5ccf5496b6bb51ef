// The power fails at every write, inside of writes, and with writes that the storage did not get to: the image checks
// clean, and each block of the disk is what it was at the last flush or became since.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <set>

#include "base/bytes.h"
#include "block/qcow2/check.h"
#include "block/raw/raw.h"
#include "unit/block/qcow2/kinds.h"
#include "unit/block/recorded_storage.h"

namespace vireo::block {
namespace {

using test::RecordedStorage;
using test::WriteLog;
using Bytes = std::vector<u8>;

class PowerCut : public testing::TestWithParam<test::Kind> {
 protected:
  using Block = std::array<u8, 512>;
  /// Something that happened to the disk.
  struct Event {
    std::size_t begin;             ///< entries of the log before
    std::map<u64, Block> changed;  ///< blocks of the disk
  };
  struct Flushed {
    std::size_t at;      ///< entries of the log before the flush was complete
    std::size_t events;  ///< that are durable
    Bytes disk;
  };

  void SetUp() override {
    image_ = GetParam().image;
    image_.size = image_.cluster_size < 16 * kKiB ? 192 * kKiB : image_.cluster_size * 6 + 1536;
    if (GetParam().backing) {
      image_.backing_file = "base";
      image_.backing_format = "raw";
      base_.resize(image_.size / 2 + 512);
      for (auto& byte : base_) byte = static_cast<u8>(random_());
    }
    RecordedStorage file({}, 0, log_);
    ASSERT_TRUE(qcow2::create(file, image_));
    start_[0] = file.bytes();
    if (!image_.data_file.empty()) start_[1].resize(image_.size);
    log_->entries.clear();
  }

  std::unique_ptr<qcow2::Qcow2> open(std::unique_ptr<RecordedStorage> file, std::unique_ptr<RecordedStorage> data,
                                     bool read_only = false) {
    const auto header = qcow2::read_header(*file);
    EXPECT_TRUE(header) << header.error().message;
    if (!header) return nullptr;
    qcow2::Parts parts;
    parts.file = std::move(file);
    if (header->has_data_file()) parts.data = std::move(data);
    if (!base_.empty()) {
      auto log = std::make_shared<WriteLog>();
      parts.backing = make_raw(std::make_unique<RecordedStorage>(base_, 9, log), Guard::Off);
    }
    parts.read_only = read_only;
    parts.caches = {.l2 = 16 * kKiB, .refcounts = 16 * kKiB};  // crowded soon
    auto opened = qcow2::Qcow2::open(*header, std::move(parts));
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  std::unique_ptr<qcow2::Qcow2> open(const Bytes& file, const Bytes& data, std::shared_ptr<WriteLog> log) {
    return open(std::make_unique<RecordedStorage>(file, 0, log), std::make_unique<RecordedStorage>(data, 1, log));
  }

  u64 below(u64 limit) { return random_() % limit; }
  void operate(qcow2::Qcow2& disk, unsigned count);
  void one_operation(qcow2::Qcow2& disk);
  void note(qcow2::Qcow2& disk, std::size_t begin);
  void note_flushed() { flushed_.push_back({log_->entries.size(), events_.size(), disk_}); }
  /// What the storages hold after a cut before entry `cut`; of that one, `torn` sectors got through.
  enum class Lost : u8 { Nothing, Some };
  std::array<Bytes, 2> cut(std::size_t cut, u64 torn, Lost lost);
  void expect_sound(const std::array<Bytes, 2>& files, std::size_t cut, bool ask_qemu);

  qcow2::NewImage image_;
  Bytes base_;
  std::shared_ptr<WriteLog> log_ = std::make_shared<WriteLog>();
  std::array<Bytes, 2> start_;
  std::mt19937_64 random_{GetParam().image.cluster_size + GetParam().image.refcount_bits};
  Bytes disk_;  ///< as it reads now
  std::vector<Event> events_;
  std::vector<Flushed> flushed_;
  std::vector<std::string> snapshots_;
};

void PowerCut::note(qcow2::Qcow2& disk, std::size_t begin) {
  Bytes now(disk.geometry().size);
  ASSERT_TRUE(disk.read(0, now));
  Event event{begin, {}};
  for (u64 at = 0; at < now.size(); at += 512) {
    if (std::memcmp(now.data() + at, disk_.data() + at, 512) == 0) continue;
    std::memcpy(event.changed[at].data(), now.data() + at, 512);
  }
  disk_ = now;
  events_.push_back(std::move(event));
}

void PowerCut::one_operation(qcow2::Qcow2& disk) {
  const std::size_t begin = log_->entries.size();
  u64 offset = below(disk_.size() / 512) * 512;
  u64 length = std::min<u64>(disk_.size() - offset, 512 * (1 + below(below(4) == 0 ? 200 : 12)));
  if (below(3) == 0) {
    offset = offset / image_.cluster_size * image_.cluster_size;
    length = std::min<u64>(disk_.size() - offset, image_.cluster_size * (1 + below(2)));
  }
  Bytes bytes(length, static_cast<u8>(random_()));
  for (u64 at = 0; at < length; at += 512) store(bytes.data() + at, random_());
  switch (below(12)) {
    default:
      ASSERT_TRUE(disk.write(offset, bytes));
      break;
    case 6:
      ASSERT_TRUE(disk.write_zeroes(offset, length, below(2) == 0));
      break;
    case 7:
      ASSERT_TRUE(disk.discard(offset, length));
      break;
    case 8:
      offset = offset / image_.cluster_size * image_.cluster_size;
      bytes.resize(std::min<u64>(disk_.size() - offset, image_.cluster_size));
      ASSERT_TRUE(disk.write_compressed(offset, bytes));
      break;
    case 9:
    case 10:
      ASSERT_TRUE(disk.flush());
      note(disk, begin);
      return note_flushed();
    case 11: {
      if (!image_.data_file.empty() || image_.refcount_bits == 1 || below(3) != 0) return;
      if (snapshots_.empty() || (snapshots_.size() < 2 && below(2) == 0)) {
        const auto name = fmt::format("s{}", events_.size());
        if (!disk.create_snapshot(name)) return;
        snapshots_.push_back(name);
      } else if (below(2) == 0) {
        if (!disk.apply_snapshot(snapshots_[0])) return;
      } else {
        ASSERT_TRUE(disk.delete_snapshot(snapshots_[0]));
        snapshots_.erase(snapshots_.begin());
      }
      note(disk, begin);
      return note_flushed();
    }
  }
  note(disk, begin);
}

void PowerCut::operate(qcow2::Qcow2& disk, unsigned count) {
  disk_.resize(image_.size);
  ASSERT_TRUE(disk.read(0, disk_));
  note_flushed();
  for (unsigned i = 0; i < count && !HasFatalFailure(); ++i) one_operation(disk);
}

std::array<Bytes, 2> PowerCut::cut(std::size_t cut, u64 torn, Lost lost) {
  std::array<std::size_t, 2> durable{};
  for (std::size_t i = 0; i < cut; ++i) {
    if (log_->entries[i].flush) durable[log_->entries[i].storage] = i;
  }
  auto files = start_;
  for (std::size_t i = 0; i <= cut && i < log_->entries.size(); ++i) {
    const auto& entry = log_->entries[i];
    if (entry.flush || (i == cut && torn == 0)) continue;
    auto& file = files[entry.storage];
    if (entry.bytes.empty()) {
      file.resize(entry.offset);
      continue;
    }
    const std::span<const u8> bytes(entry.bytes);
    if (i == cut) {
      RecordedStorage::apply(file, entry.offset, bytes.first(std::min<u64>(bytes.size(), torn * 512)));
    } else if (lost == Lost::Nothing || i < durable[entry.storage]) {
      RecordedStorage::apply(file, entry.offset, bytes);
    } else {
      // The storage's cache got to any of its sectors.
      const bool whole = below(2) == 0, any = below(3) != 0;
      for (u64 at = 0; at < bytes.size() && any; at += 512) {
        const auto sector = bytes.subspan(at, std::min<u64>(512, bytes.size() - at));
        if (whole || below(2) == 0) RecordedStorage::apply(file, entry.offset + at, sector);
      }
    }
  }
  return files;
}

void PowerCut::expect_sound(const std::array<Bytes, 2>& files, std::size_t cut, bool ask_qemu) {
  const auto disk = open(files[0], files[1], std::make_shared<WriteLog>());
  ASSERT_TRUE(disk);
  const auto checked = qcow2::check(*disk);
  ASSERT_TRUE(checked) << checked.error().message;
  ASSERT_EQ(checked->corruptions, 0u) << checked->messages[0];
  ASSERT_EQ(disk->geometry().size, image_.size);
  Bytes now(image_.size);
  ASSERT_TRUE(disk->read(0, now));
  const auto flushed = std::find_if(flushed_.rbegin(), flushed_.rend(), [&](const auto& f) { return f.at <= cut; });
  ASSERT_NE(flushed, flushed_.rend());
  for (u64 at = 0; at < now.size(); at += 512) {
    if (std::memcmp(now.data() + at, flushed->disk.data() + at, 512) == 0) continue;
    bool allowed = false;
    for (std::size_t i = flushed->events; i < events_.size() && events_[i].begin <= cut && !allowed; ++i) {
      const auto changed = events_[i].changed.find(at);
      allowed = changed != events_[i].changed.end() && std::memcmp(now.data() + at, changed->second.data(), 512) == 0;
    }
    ASSERT_TRUE(allowed) << "block " << at / 512 << " is neither what was flushed nor what was written since";
  }
  if (!ask_qemu) return;
  std::string name = testing::TempDir() + "vireo-cut-XXXXXX";
  ::close(::mkstemp(name.data()));
  std::ofstream(name, std::ios::binary)
      .write(reinterpret_cast<const char*>(files[0].data()), static_cast<std::streamsize>(files[0].size()));
  const int status = std::system(("qemu-img check -q -f qcow2 " + name + " >/dev/null 2>&1").c_str());
  EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3) << WEXITSTATUS(status);  // 3: leaks
  ::unlink(name.c_str());
}

TEST_P(PowerCut, LeavesASoundImageWithAllThatWasFlushed) {
  if (image_.cluster_size == 2 * kMiB) GTEST_SKIP() << "the log of 2 MiB clusters is too long to be played";
  const bool qemu = std::system("qemu-img --version >/dev/null 2>&1") == 0;
  {
    const auto disk = open(start_[0], start_[1], log_);
    ASSERT_TRUE(disk);
    operate(*disk, 40);
    ASSERT_FALSE(HasFatalFailure());
  }
  ASSERT_GT(log_->entries.size(), 40u);
  const u64 step = std::max<u64>(1, log_->entries.size() / 400);
  for (std::size_t at = 0; at <= log_->entries.size(); at += at % 3 == 0 ? 1 : step) {
    SCOPED_TRACE(at);
    // A dirty image, and flags amid a snapshot of version 2, are what our own check and repair know.
    const auto whole = cut(at, 0, Lost::Nothing);
    const bool dirty = image_.version == 2 || (whole[0][79] & 1) != 0;
    expect_sound(whole, at, qemu && !dirty && image_.data_file.empty() && base_.empty() && at % 8 == 0);
    if (HasFatalFailure()) return;
    if (at < log_->entries.size() && log_->entries[at].bytes.size() > 512) {
      expect_sound(cut(at, 1 + below(log_->entries[at].bytes.size() / 512), Lost::Nothing), at, false);
    }
    if (HasFatalFailure()) return;
    for (unsigned i = 0; i < 2 && !HasFatalFailure(); ++i) expect_sound(cut(at, 0, Lost::Some), at, false);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, PowerCut, testing::ValuesIn(test::kinds()),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace vireo::block
