// Which file the word of --firmware means.
#pragma once

#include <string>

#include "base/result.h"

namespace vireo::vmm {

/// The path of a firmware file. "bios" is SeaBIOS and "uefi" is OVMF, looked for in the folders of $VIREO_FIRMWARE
/// (separated by colons), where Debian's package has it, and in the cache of scripts/fetch-guest, in this order;
/// anything else is a path already. NotFound, with what to do, when it is nowhere.
Result<std::string> find_firmware(const std::string& name);

}  // namespace vireo::vmm
