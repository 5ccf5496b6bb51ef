// CRC-32C (Castagnoli, RFC 3720 appendix B.4): finds every burst of up to 32 wrong bits.
#pragma once

#include <span>

#include "base/types.h"

namespace vireo::snapshot {

/// Continues from `crc`, the value for the bytes before (0 for none).
u32 crc32c(u32 crc, std::span<const u8> bytes);

}  // namespace vireo::snapshot
