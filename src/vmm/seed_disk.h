// The read-only disk from which cloud-init in the guest learns what --cloud-init, --ssh-key and --hostname say.
#pragma once

#include <optional>

#include "base/result.h"
#include "host/fd.h"
#include "vmm/config.h"

namespace vireo::vmm {

struct SeedDisk {
  host::Fd file;  ///< in memory, without a name; has to be open until the disk is
  DiskConfig disk;
};

/// Nothing, when none of them is given. Errors name the option; Usage, and those of opening a file.
Result<std::optional<SeedDisk>> make_seed_disk(const SeedConfig& config);

}  // namespace vireo::vmm
