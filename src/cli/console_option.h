// The value of --console and --serial.
#pragma once

#include <string>

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::cli {

/// "stdio", "none", "pty", "file,path=FILE" or "socket,path=FILE"; "file:FILE" and "socket:FILE" say the same.
Result<vmm::Console> parse_console(const std::string& text);

}  // namespace vireo::cli
