// Random operations on images of all kinds, ours and QEMU's in turn on the same file: the bytes are those of a model in
// memory, whoever reads them, and both find the image sound.
//
// VIREO_DISK_OPERATIONS is how many operations there are in all (6000), VIREO_DISK_SEED where they begin (1).
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "block/open/open.h"
#include "block/qcow2/check.h"
#include "unit/block/qcow2/kinds.h"

namespace vireo::block {
namespace {

u64 parameter(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

struct Outcome {
  int status;
  std::string output;
};

Outcome shell(const std::string& command) {
  Outcome outcome{-1, {}};
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  while (const auto got = std::fread(buffer, 1, sizeof buffer, pipe)) outcome.output.append(buffer, got);
  outcome.status = WEXITSTATUS(::pclose(pipe));
  return outcome;
}

class Differential : public testing::TestWithParam<test::Kind> {
 protected:
  void SetUp() override {
    if (shell("qemu-img --version && qemu-io --version").status != 0) GTEST_SKIP() << "qemu-utils is not installed";
    std::string name = testing::TempDir() + "vireo-qcow2-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    random.seed(parameter("VIREO_DISK_SEED", 1) * 1000 + std::hash<std::string>()(GetParam().name) % 1000);
  }
  void TearDown() override {
    image.reset();
    std::filesystem::remove_all(folder);
  }

  std::string path(const char* name) const { return folder + "/" + name; }
  u64 below(u64 limit) { return random() % limit; }

  /// Random bytes of which some repeat, so that they can be compressed.
  std::vector<u8> bytes(u64 length) {
    std::vector<u8> made(length);
    const u8 value = static_cast<u8>(random());
    const bool noise = below(3) == 0;
    for (auto& byte : made) byte = noise ? static_cast<u8>(random()) : value;
    if (!noise) std::memcpy(made.data(), &(seed_mark += 1), std::min<u64>(8, length));
    return made;
  }

  void make_image(bool by_qemu);
  void open(bool read_only = false) {
    auto opened = open_image(path("disk"), {.format = Format::Qcow2, .read_only = read_only}, threads);
    ASSERT_TRUE(opened) << opened.error().message;
    image = std::move(*opened);
    ASSERT_EQ(image->geometry().size, model.size());
  }
  qcow2::Qcow2& qcow2_image() { return dynamic_cast<qcow2::Qcow2&>(*image); }

  void range(u64& offset, u64& length);
  void one_operation();
  void snapshot_operation();
  void resize();
  void qemu_operations(unsigned count);
  void check_by_both();
  void compare_with_model();

  std::string folder;
  std::mt19937_64 random;
  u64 seed_mark = 0;
  std::shared_ptr<IoThreads> threads = std::make_shared<IoThreads>();
  std::unique_ptr<Image> image;
  std::vector<u8> model;
  std::vector<std::pair<std::string, std::vector<u8>>> snapshots;
  unsigned next_snapshot = 0;
};

void Differential::make_image(bool by_qemu) {
  auto kind = GetParam().image;
  model.assign(kind.size, 0);
  if (GetParam().backing) {
    // Smaller than the disk, with holes.
    const u64 size = kind.size / 2 + 512;
    std::ofstream base(path("base"), std::ios::binary);
    for (u64 at = 0; at < size; at += 512) {
      std::vector<u8> block(512);
      if (at / 65536 % 3 != 1) block = bytes(512);
      base.write(reinterpret_cast<char*>(block.data()), 512);
      std::copy(block.begin(), block.end(), model.begin() + static_cast<std::ptrdiff_t>(at));
    }
    kind.backing_file = "base";
    kind.backing_format = "raw";
  }
  if (by_qemu) {
    std::string options = fmt::format("cluster_size={},compat={},refcount_bits={}", kind.cluster_size,
                                      kind.version == 2 ? "0.10" : "1.1", kind.refcount_bits);
    if (kind.extended_l2) options += ",extended_l2=on";
    if (kind.lazy_refcounts) options += ",lazy_refcounts=on";
    if (kind.compression == qcow2::Compression::Zstd) options += ",compression_type=zstd";
    if (!kind.data_file.empty()) options += ",data_file=" + path("data");
    if (kind.data_file_raw) options += ",data_file_raw=on";
    const std::string backing = kind.backing_file.empty() ? "" : " -b base -F raw";
    const auto made =
        shell(fmt::format("cd {} && qemu-img create -q -f qcow2 -o {}{} disk {}", folder, options, backing, kind.size));
    ASSERT_EQ(made.status, 0) << made.output;
    return;
  }
  if (!kind.data_file.empty()) {
    std::ofstream(path("data")).close();
    std::filesystem::resize_file(path("data"), kind.size);
  }
  auto file = open_file(path("disk"), {.write = true, .create = true}, threads);
  ASSERT_TRUE(file);
  const auto made = qcow2::create(**file, kind);
  ASSERT_TRUE(made) << made.error().message;
}

void Differential::range(u64& offset, u64& length) {
  const u64 blocks = model.size() / 512;
  offset = below(blocks);
  const u64 most = std::min<u64>(blocks - offset, below(4) == 0 ? 600 : 24);
  length = 512 * (1 + below(most));
  offset *= 512;
  if (below(4) == 0) {  // whole clusters
    const u64 cluster = GetParam().image.cluster_size;
    offset = offset / cluster * cluster;
    length = std::min<u64>(model.size() - offset, cluster * (1 + below(3)));
  }
}

void Differential::one_operation() {
  u64 offset = 0, length = 0;
  range(offset, length);
  const auto at = model.begin() + static_cast<std::ptrdiff_t>(offset);
  switch (below(16)) {
    default: {
      const auto written = bytes(length);
      ASSERT_TRUE(image->write(offset, written));
      std::copy(written.begin(), written.end(), at);
      break;
    }
    case 7:
    case 8:
    case 9: {
      std::vector<u8> read(length);
      ASSERT_TRUE(image->read(offset, read));
      ASSERT_TRUE(std::equal(read.begin(), read.end(), at)) << offset << "+" << length;
      break;
    }
    case 10:
    case 11:
      ASSERT_TRUE(image->write_zeroes(offset, length, below(2) == 0));
      std::fill_n(at, length, 0);
      break;
    case 12:
      ASSERT_TRUE(image->discard(offset, length));
      // What is there afterwards is not said, but stays the same.
      ASSERT_TRUE(image->read(offset, std::span(&*at, length)));
      break;
    case 13: {
      const u64 cluster = GetParam().image.cluster_size;
      offset = offset / cluster * cluster;
      const auto written = bytes(std::min<u64>(cluster, model.size() - offset));
      ASSERT_TRUE(qcow2_image().write_compressed(offset, written));
      std::copy(written.begin(), written.end(), model.begin() + static_cast<std::ptrdiff_t>(offset));
      break;
    }
    case 14:
      ASSERT_TRUE(image->flush());
      break;
    case 15:
      if (below(6) == 0) snapshot_operation();
      if (below(6) == 0) resize();
      break;
  }
}

void Differential::snapshot_operation() {
  if (!GetParam().image.data_file.empty() || GetParam().image.refcount_bits == 1) return;
  const u64 what = below(3);
  if (what == 0 && snapshots.size() < 2) {
    const auto name = fmt::format("snapshot-{}", next_snapshot++);
    const auto made = qcow2_image().create_snapshot(name);
    if (!made && made.error().kind == ErrorKind::WrongState && GetParam().image.refcount_bits < 8) return;
    ASSERT_TRUE(made) << made.error().message;
    snapshots.emplace_back(name, model);
  } else if (!snapshots.empty()) {
    const auto chosen = snapshots.begin() + static_cast<std::ptrdiff_t>(below(snapshots.size()));
    if (what == 1) {
      const auto applied = qcow2_image().apply_snapshot(chosen->first);
      if (!applied && applied.error().kind == ErrorKind::WrongState && GetParam().image.refcount_bits < 8) return;
      ASSERT_TRUE(applied) << applied.error().message;
      model = chosen->second;
    } else {
      const auto deleted = qcow2_image().delete_snapshot(chosen->first);
      ASSERT_TRUE(deleted) << deleted.error().message;
      snapshots.erase(chosen);
    }
  }
}

void Differential::resize() {
  const u64 size = GetParam().image.size;
  const u64 now = below(2) == 0 ? size : size / 2 / 512 * 512 + 512 * below(size / 512);
  if (now < model.size() && !snapshots.empty()) return;
  ASSERT_TRUE(image->resize(now)) << now;
  model.resize(now);
}

void Differential::qemu_operations(unsigned count) {
  std::ofstream script(path("script"));
  for (unsigned i = 0; i < count; ++i) {
    u64 offset = 0, length = 0;
    range(offset, length);
    const auto at = model.begin() + static_cast<std::ptrdiff_t>(offset);
    const u8 pattern = static_cast<u8>(1 + below(255));
    switch (i == 0 ? 1 : below(4)) {
      case 0:
        script << fmt::format("write -z {} {} {}\n", below(2) == 0 ? "-u" : "", offset, length);
        std::fill_n(at, length, 0);
        break;
      case 1:
        // Once a process, at its beginning: QEMU 7.2 goes on in a cluster of compressed data that was freed meanwhile.
        if (i == 0 && GetParam().image.data_file.empty() && !(GetParam().image.version == 2 && GetParam().backing)) {
          const u64 cluster = GetParam().image.cluster_size;
          offset = offset / cluster * cluster;
          length = std::min<u64>(cluster, model.size() - offset);
          // It does not write compressed over what is there.
          script << fmt::format("discard -q {0} {1}\nwrite -q -c -P {2} {0} {1}\n", offset, length, pattern);
          std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(offset), length, pattern);
          break;
        }
        [[fallthrough]];
      default:
        script << fmt::format("write -q -P {} {} {}\n", pattern, offset, length);
        std::fill_n(at, length, pattern);
    }
  }
  script.close();
  const auto done = shell(fmt::format("cd {} && qemu-io -d unmap -f qcow2 disk < script", folder));
  ASSERT_EQ(done.status, 0) << done.output;
  ASSERT_EQ(done.output.find("failed"), std::string::npos) << done.output;
}

void Differential::check_by_both() {
  const auto checked = shell(fmt::format("cd {} && qemu-img check -f qcow2 disk", folder));
  ASSERT_EQ(checked.status, 0) << checked.output;
  open(true);
  const auto ours = qcow2::check(qcow2_image());
  ASSERT_TRUE(ours) << ours.error().message;
  ASSERT_EQ(ours->corruptions + ours->leaks + ours->missing_flags, 0u)
      << ours->corruptions << " " << ours->leaks << " " << ours->missing_flags << " "
      << (ours->messages.empty() ? "" : ours->messages[0]);
  image.reset();
}

void Differential::compare_with_model() {
  const auto converted = shell(fmt::format("cd {} && qemu-img convert -f qcow2 -O raw disk raw", folder));
  ASSERT_EQ(converted.status, 0) << converted.output;
  std::ifstream raw(path("raw"), std::ios::binary);
  const std::vector<char> read((std::istreambuf_iterator<char>(raw)), {});
  ASSERT_EQ(read.size(), model.size());
  ASSERT_EQ(std::memcmp(read.data(), model.data(), model.size()), 0) << "read by QEMU";
  open(true);
  std::vector<u8> ours(model.size());
  ASSERT_TRUE(image->read(0, ours));
  ASSERT_TRUE(ours == model) << "read by us";
  image.reset();
}

TEST_P(Differential, OursAndQemusOperationsGiveTheSameBytes) {
  const u64 kinds = test::kinds().size();
  const u64 operations = std::max<u64>(1, parameter("VIREO_DISK_OPERATIONS", 6000) / kinds);
  make_image(below(2) == 0);
  for (u64 done = 0; done < operations && !HasFatalFailure();) {
    SCOPED_TRACE(done);
    open();
    const u64 session = std::min<u64>(operations - done, 40 + below(400));
    for (u64 i = 0; i < session * 9 / 10 && !HasFatalFailure(); ++i) one_operation();
    image.reset();
    if (HasFatalFailure()) return;
    check_by_both();
    if (HasFatalFailure()) return;
    qemu_operations(static_cast<unsigned>(session / 10 + 1));
    if (HasFatalFailure()) return;
    check_by_both();
    if (HasFatalFailure()) return;
    compare_with_model();
    done += session;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Differential, testing::ValuesIn(test::kinds()),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace vireo::block
