#include "vmm/boot_files.h"

#include <algorithm>

#include "machine/spec/spec.h"

namespace vireo::vmm {
namespace {

using snapshot::BootFile;

class NamelessSink final : public snapshot::Sink {
 public:
  explicit NamelessSink(const host::Fd& file) : file_(file) {}
  Result<> write(std::span<const u8> bytes) override { return host::append(file_, bytes); }

 private:
  const host::Fd& file_;
};

class CountingSink final : public snapshot::Sink {
 public:
  Result<> write(std::span<const u8> bytes) override {
    size += bytes.size();
    return {};
  }
  u64 size = 0;
};

std::string path_of(const host::Fd& file) { return fmt::format("/proc/self/fd/{}", file.get()); }

/// How much there is to read, up to one byte more than any firmware has.
Result<u64> size_of(const host::Fd& file, const std::string& path) {
  std::vector<u8> bytes(machine::kMaxFirmware + 1);
  host::rewind(file);
  return host::read_up_to(file, bytes, path);
}

}  // namespace

Result<BootFiles> BootFiles::from_paths(const Paths& paths) {
  BootFiles files;
  files.of(BootFile::Kernel).path = paths.kernel;
  files.of(BootFile::Initrd).path = paths.initrd;
  files.of(BootFile::Firmware).path = paths.firmware;
  for (auto& [path, file, size] : files.files_) {
    if (path.empty()) continue;
    TRY_ASSIGN(file, host::open_to_read(path));
  }
  auto& firmware = files.of(BootFile::Firmware);
  if (firmware.file) {
    TRY_ASSIGN(firmware.size, size_of(firmware.file, firmware.path));
    if (firmware.size == 0) return fail(ErrorKind::Usage, "firmware '{}' is empty", firmware.path);
  }
  return files;
}

Result<BootFiles> BootFiles::from_state(host::Fd state, std::string path) {
  BootFiles files;
  files.state_ = std::move(state);
  files.state_path_ = std::move(path);
  for (const auto which : kAll) {
    snapshot::FileSource source(files.state_, files.state_path_);
    CountingSink counted;
    TRY_ASSIGN(const bool there, snapshot::load_boot_file(source, which, counted));
    if (!there) continue;
    auto& file = files.of(which);
    TRY_ASSIGN(file.file, host::nameless_file("vireo-boot"));
    file.path = path_of(file.file);
    file.size = counted.size;
  }
  return files;
}

Result<host::Fd> BootFiles::open(const std::string& path) const {
  const auto found = std::ranges::find(files_, path, &File::path);
  auto file = found == files_.end() ? host::Fd() : found->file.duplicate();
  if (!file) return fail(ErrorKind::Failed, "cannot open {} again", path);
  return file;
}

Result<> BootFiles::extract(BootFile which, const host::Fd& to) const {
  snapshot::FileSource source(state_, state_path_);
  NamelessSink sink(to);
  TRY(snapshot::load_boot_file(source, which, sink));
  return {};
}

Result<> BootFiles::provide() {
  if (!state_) return {};
  release();
  for (const auto which : kAll) {
    if (of(which).file) TRY(extract(which, of(which).file));
  }
  return {};
}

void BootFiles::release() {
  if (!state_) return;
  for (const auto& file : files_) {
    if (file.file) host::empty(file.file);
  }
}

Result<> BootFiles::save(snapshot::Writer& writer) const {
  for (const auto which : kAll) {
    const auto& [path, file, size] = of(which);
    if (!file) continue;
    snapshot::FileSource source(file, path);
    TRY(snapshot::save_boot_file(writer, which, source));
  }
  return {};
}

}  // namespace vireo::vmm
