// One virtual machine in this process, from its configuration to its end.
#pragma once

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::vmm {

/// Runs until the guest powers off (0), the plug is pulled (0) or the machine crashes for good (1, reported on standard
/// error). Everything is checked before anything is half done; the terminal becomes raw last, and is restored on every
/// way out. Errors: Usage, NotFound, Denied for what the configuration names; Failed for the host's refusals.
Result<int> run(const Config& config);

}  // namespace vireo::vmm
