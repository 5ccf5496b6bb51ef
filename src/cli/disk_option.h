// The value of --disk.
#pragma once

#include <string>

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::cli {

/// "FILE[,format=raw|qcow2][,readonly][,cache=none|writeback|unsafe][,serial=TEXT][,id=NAME]"; a comma in FILE is
/// written twice.
Result<vmm::DiskConfig> parse_disk(const std::string& text);

}  // namespace vireo::cli
