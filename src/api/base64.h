// Base64 (RFC 4648, section 4): how bytes of any kind are told in JSON.
#pragma once

#include <span>
#include <string>

#include "base/types.h"

namespace vireo::api {

std::string base64(std::span<const u8> bytes);

}  // namespace vireo::api
