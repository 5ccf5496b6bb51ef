// The sandbox's system call filter (seccomp).
#pragma once

#include "host/sandbox.h"

namespace vireo::host {

/// From now on this process makes the calls of the table, and no others. `files`: what may be opened is restricted
/// otherwise.
Result<> restrict_system_calls(const SandboxNeeds& needs, bool files);

}  // namespace vireo::host
