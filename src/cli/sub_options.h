// Values that are lists themselves: "FILE,format=raw,readonly", as --disk takes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace vireo::cli {

struct SubOption {
  std::string name;
  std::optional<std::string> value;  ///< what is behind the '='
};

/// Splits at commas; two of them are one that belongs to the text. Nothing is empty in what comes out but values may
/// be.
Result<std::vector<SubOption>> split_sub_options(std::string_view text);

/// The value of id=: the name of what is not plugged in, but found by devices that are added at run time.
Result<std::string> parse_id(const std::string& text, std::size_t longest);

}  // namespace vireo::cli
