// A small ISO 9660 image in memory: a volume label and files in the root directory, nothing else.
//
// ECMA-119 (ISO 9660) with a second, Joliet volume (UCS-2 names), so that names are read as they were given. Both share
// the files. The same input gives the same bytes: there is no time in it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace vireo::block {

struct IsoFile {
  std::string_view name;  ///< 1 to 32 letters, digits, '-', '_' and '.'
  std::string_view content;
};

/// `label`: up to 16 characters of the kind of a name. Up to 8 files, 16 MiB in all. Errors: Usage.
Result<std::vector<u8>> make_iso9660(std::string_view label, std::span<const IsoFile> files);

}  // namespace vireo::block
