// The value of --net.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "vmm/config.h"

namespace vireo::cli {

/// "user[,hostfwd=tcp:127.0.0.1:2222-:22]...[,mac=...]", see the help; nothing for "none".
Result<std::optional<vmm::NetConfig>> parse_net(const std::string& text);

}  // namespace vireo::cli
