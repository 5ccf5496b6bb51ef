#include "vmm/boot_files.h"

namespace vireo::vmm {
namespace {

class NamelessSink final : public snapshot::Sink {
 public:
  explicit NamelessSink(const host::Fd& file) : file_(file) {}
  Result<> write(std::span<const u8> bytes) override { return host::append(file_, bytes); }

 private:
  const host::Fd& file_;
};

class NoSink final : public snapshot::Sink {
 public:
  Result<> write(std::span<const u8>) override { return {}; }
};

std::string path_of(const host::Fd& file) { return fmt::format("/proc/self/fd/{}", file.get()); }

}  // namespace

Result<BootFiles> BootFiles::from_paths(const std::string& kernel, const std::string& initrd) {
  BootFiles files;
  files.kernel_path_ = kernel;
  files.initrd_path_ = initrd;
  if (!kernel.empty()) {
    TRY_ASSIGN(files.kernel_, host::open_to_read(kernel));
  }
  if (!initrd.empty()) {
    TRY_ASSIGN(files.initrd_, host::open_to_read(initrd));
  }
  return files;
}

Result<BootFiles> BootFiles::from_state(host::Fd state, std::string path) {
  BootFiles files;
  files.state_ = std::move(state);
  files.state_path_ = std::move(path);
  for (const auto which : {snapshot::BootFile::Kernel, snapshot::BootFile::Initrd}) {
    snapshot::FileSource source(files.state_, files.state_path_);
    NoSink nowhere;
    TRY_ASSIGN(const bool there, snapshot::load_boot_file(source, which, nowhere));
    if (!there) continue;
    const bool kernel = which == snapshot::BootFile::Kernel;
    auto& file = kernel ? files.kernel_ : files.initrd_;
    TRY_ASSIGN(file, host::nameless_file("vireo-boot"));
    (kernel ? files.kernel_path_ : files.initrd_path_) = path_of(file);
  }
  return files;
}

Result<host::Fd> BootFiles::open(const std::string& path) const {
  auto file = (path == kernel_path_ ? kernel_ : initrd_).duplicate();
  if (!file) return fail(ErrorKind::Failed, "cannot open {} again", path);
  return file;
}

Result<> BootFiles::extract(snapshot::BootFile which, const host::Fd& to) const {
  snapshot::FileSource source(state_, state_path_);
  NamelessSink sink(to);
  TRY(snapshot::load_boot_file(source, which, sink));
  return {};
}

Result<> BootFiles::provide() {
  if (!state_) return {};
  release();
  if (kernel_) TRY(extract(snapshot::BootFile::Kernel, kernel_));
  if (initrd_) TRY(extract(snapshot::BootFile::Initrd, initrd_));
  return {};
}

void BootFiles::release() {
  if (!state_) return;
  host::empty(kernel_);
  host::empty(initrd_);
}

Result<> BootFiles::save(snapshot::Writer& writer) const {
  if (kernel_) {
    snapshot::FileSource source(kernel_, kernel_path_);
    TRY(snapshot::save_boot_file(writer, snapshot::BootFile::Kernel, source));
  }
  if (initrd_) {
    snapshot::FileSource source(initrd_, initrd_path_);
    TRY(snapshot::save_boot_file(writer, snapshot::BootFile::Initrd, source));
  }
  return {};
}

}  // namespace vireo::vmm
