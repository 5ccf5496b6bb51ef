#include "host/sandbox.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/types.h"
#include "host/sandbox_calls.h"

namespace vireo::host {
namespace {

/// Opens, creates, renames and removes only below the folders, and opens what is readable, by landlock(7). False: a
/// kernel without it (before 5.13, or not turned on) leaves this to the system call filter, which sees descriptors but
/// no paths.
Result<bool> restrict_files(const SandboxNeeds& needs) {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return false;
  constexpr u64 kRefer = 1 << 13, kTruncate = 1 << 14;  // of versions 2 and 3
  const u64 truncate = version >= 3 ? kTruncate : 0;
  landlock_ruleset_attr all{};
  all.handled_access_fs = (kRefer - 1) | (version >= 2 ? kRefer : 0) | truncate;
  const Fd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &all, sizeof all.handled_access_fs, 0)));
  if (!rules) return fail_errno(errno, "cannot restrict files");
  const auto allow = [&](int folder, u64 access) -> Result<> {
    landlock_path_beneath_attr rule{};
    rule.allowed_access = access;
    rule.parent_fd = folder;
    if (::syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
      return fail_errno(errno, "cannot keep a file or folder");
    }
    return {};
  };
  for (const int folder : needs.folders) {
    TRY(allow(folder,
              LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | truncate));
  }
  for (const int file : needs.readable) TRY(allow(file, LANDLOCK_ACCESS_FS_READ_FILE));
  for (const auto& listener : needs.listeners) TRY(allow(listener.folder, LANDLOCK_ACCESS_FS_REMOVE_FILE));
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) return fail_errno(errno, "cannot restrict files");
  return true;
}

}  // namespace

/// Ambient, bounding, then the three sets of the process itself (capabilities(7)). Without CAP_SETPCAP the bounding set
/// stays as it is; with no_new_privs nothing is ever gained from it.
Result<> drop_capabilities() {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EPERM) {
      return fail_errno(errno, "cannot drop a capability from the bounding set");
    }
  }
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return fail_errno(errno, "cannot drop capabilities");
  return {};
}

Result<> enter_sandbox(const SandboxNeeds& needs) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "cannot renounce new privileges");
  TRY_ASSIGN(const bool files, restrict_files(needs));
  TRY(drop_capabilities());
  return restrict_system_calls(needs, files);
}

}  // namespace vireo::host
