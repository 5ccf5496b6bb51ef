// The value of --vsock.
#pragma once

#include <string>

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::cli {

/// "cid=3,socket=/run/vm.sock". Usage errors.
Result<vmm::VsockConfig> parse_vsock(const std::string& text);

}  // namespace vireo::cli
