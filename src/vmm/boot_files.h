// Kernel and initrd, or firmware, for as long as the guest may reboot.
//
// They are held open: what boots again and what is saved is what was booted first even when the files were replaced
// since, and no file has to be opened once the guest runs. A restored machine has them in its state file: they stand in
// files without a name, which have content only while somebody needs it.
#pragma once

#include <array>
#include <string>

#include "snapshot/contents.h"
#include "snapshot/file.h"

namespace vireo::vmm {

class BootFiles {
 public:
  /// What they are called; empty: there is none.
  struct Paths {
    std::string kernel, initrd, firmware;
  };
  static Result<BootFiles> from_paths(const Paths& paths);
  /// `state` is the open state file, called `path` in messages.
  static Result<BootFiles> from_state(host::Fd state, std::string path);

  const std::string& kernel() const { return of(snapshot::BootFile::Kernel).path; }
  const std::string& initrd() const { return of(snapshot::BootFile::Initrd).path; }
  const std::string& firmware() const { return of(snapshot::BootFile::Firmware).path; }
  /// Bytes; 0 when there is none.
  u64 firmware_size() const { return of(snapshot::BootFile::Firmware).size; }

  /// The one of that path, held open since the beginning: another descriptor of it.
  Result<host::Fd> open(const std::string& path) const;

  /// They can be read between these two.
  Result<> provide();
  void release();

  /// Provided, they go into a state file.
  Result<> save(snapshot::Writer& writer) const;

 private:
  struct File {
    std::string path;
    host::Fd file;
    u64 size = 0;  ///< when it was opened, bytes; of firmware
  };
  static constexpr std::array kAll = {snapshot::BootFile::Kernel, snapshot::BootFile::Initrd,
                                      snapshot::BootFile::Firmware};
  File& of(snapshot::BootFile which) { return files_[static_cast<std::size_t>(which)]; }
  const File& of(snapshot::BootFile which) const { return files_[static_cast<std::size_t>(which)]; }
  Result<> extract(snapshot::BootFile which, const host::Fd& to) const;

  std::array<File, kAll.size()> files_;
  host::Fd state_;
  std::string state_path_;
};

}  // namespace vireo::vmm
