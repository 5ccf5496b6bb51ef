// Statuses in words, for messages.
#pragma once

#include <string_view>

#include "block/api/disk.h"

namespace vireo::block {

constexpr std::string_view describe(Status status) {
  switch (status) {
    case Status::Ok:
      return "done";
    case Status::IoError:
      return "input/output error";
    case Status::NoSpace:
      return "no space left on the host's storage";
    case Status::ReadOnly:
      return "it is read-only";
    case Status::OutOfRange:
      return "beyond the end of the disk, or not whole blocks";
    case Status::Unsupported:
      return "the storage cannot do that";
  }
  return "?";
}

}  // namespace vireo::block
