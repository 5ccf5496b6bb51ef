// The value of --console and --serial.
#pragma once

#include <string>

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::cli {

/// "stdio", "none", "pty", "file,path=FILE" or "socket,path=FILE"; "file:FILE" and "socket:FILE" say the same.
Result<vmm::Console> parse_console(const std::string& text);
/// The same with ",name=NAME", and without the forms with a colon.
Result<vmm::VirtioConsole> parse_virtio_console(const std::string& text);

}  // namespace vireo::cli
