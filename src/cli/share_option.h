// The value of --share.
#pragma once

#include <string>

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::cli {

/// "tag=NAME,path=FOLDER[,readonly]" or "tag=NAME,socket=FILE". Usage errors.
Result<vmm::ShareConfig> parse_share(const std::string& text);

}  // namespace vireo::cli
