// The io_uring engine of async_io.h.
#pragma once

#include "host/async_io.h"

namespace vireo::host {

/// Null where the kernel does not give a ring, or none that can be restricted.
std::unique_ptr<AsyncIo> create_uring();

}  // namespace vireo::host
