// The sandbox's system call filter (seccomp).
#pragma once

#include "host/sandbox.h"

namespace vireo::host {

/// From now on this process makes the calls of the table, and no others.
Result<> restrict_system_calls(const SandboxNeeds& needs);

}  // namespace vireo::host
