// The names and numbers that QMP has for keys.
#pragma once

#include <optional>
#include <string_view>

#include "base/types.h"

namespace vireo::api {

/// Linux's code of the key that QMP calls so (QKeyCode); nothing for a name it has not.
std::optional<u16> key_by_name(std::string_view name);
/// The same by QMP's number.
std::optional<u16> key_by_number(i64 number);

}  // namespace vireo::api
