// The machine's disks, opened and locked before the process restricts itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "block/api/image.h"
#include "vmm/config.h"

namespace vireo::vmm {

struct OpenDisk {
  std::unique_ptr<block::Image> image;
  std::string serial;
  std::string id;    ///< see DiskConfig
  std::string file;  ///< as it was named
  block::Cache cache = block::Cache::Writeback;
};

/// In the order of the configuration. Errors name the file; kinds as in block/open.
Result<std::vector<OpenDisk>> open_disks(const std::vector<DiskConfig>& disks);

}  // namespace vireo::vmm
