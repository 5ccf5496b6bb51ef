// From a file's name to a disk: opens it, locks it, finds its format.
//
// A format that is given is believed. Without one the first bytes decide: those of qcow2 make it qcow2, those of a
// format we do not read are an error, and everything else is raw, which then stays raw (block/raw/raw.h, Guard).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "block/api/image.h"
#include "block/file/file.h"

namespace vireo::block {

enum class Format : u8 { Raw, Qcow2 };

Result<Format> parse_format(std::string_view name);

struct OpenOptions {
  std::optional<Format> format = {};
  bool read_only = false;
  Cache cache = Cache::Writeback;
  bool lock = true;  ///< false: look at what somebody else may be writing
};

/// Errors: NotFound, Denied, WrongState (in use), Usage (not what it is said to be).
Result<std::unique_ptr<Image>> open_image(const std::string& path, const OpenOptions& options,
                                          std::shared_ptr<IoThreads> threads);

}  // namespace vireo::block
