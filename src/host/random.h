// Random bytes from the host's kernel.
#pragma once

#include <span>

#include "base/types.h"

namespace vireo::host {

/// Fills `to`. Waits only on a host that has booted a moment ago.
void fill_random(std::span<u8> to);

}  // namespace vireo::host
