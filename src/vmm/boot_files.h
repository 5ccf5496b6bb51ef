// Kernel and initrd, for as long as the guest may reboot.
//
// They are held open: what boots again and what is saved is what was booted first even when the files were replaced
// since, and no file has to be opened once the guest runs. A restored machine has them in its state file: they stand in
// files without a name, which have content only while somebody needs it.
#pragma once

#include <string>

#include "snapshot/contents.h"
#include "snapshot/file.h"

namespace vireo::vmm {

class BootFiles {
 public:
  static Result<BootFiles> from_paths(const std::string& kernel, const std::string& initrd);
  /// `state` is the open state file, called `path` in messages.
  static Result<BootFiles> from_state(host::Fd state, std::string path);

  /// What they are called; the initrd's is empty when there is none.
  const std::string& kernel() const { return kernel_path_; }
  const std::string& initrd() const { return initrd_path_; }

  /// The one of that path, held open since the beginning: another descriptor of it.
  Result<host::Fd> open(const std::string& path) const;

  /// They can be read between these two.
  Result<> provide();
  void release();

  /// Provided, they go into a state file.
  Result<> save(snapshot::Writer& writer) const;

 private:
  Result<> extract(snapshot::BootFile which, const host::Fd& to) const;

  std::string kernel_path_, initrd_path_;
  host::Fd kernel_, initrd_;
  host::Fd state_;
  std::string state_path_;
};

}  // namespace vireo::vmm
