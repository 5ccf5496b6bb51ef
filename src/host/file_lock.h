// Locks on image files, between processes: many may read an image together, a writer wants it alone.
//
// They are QEMU's (block/file-posix.c: what one does and what one does not share with others are read locks on bytes
// 100.. and 200.. of the file), so that its tools and ours keep out of each other's way. Locks belong to the open file:
// they go when its last descriptor is closed, however the process ends.
#pragma once

#include <string>

#include "base/result.h"
#include "base/types.h"

namespace vireo::host {

enum class Share : u8 {
  Readers,  ///< we only read, and nobody may write meanwhile
  Nobody,   ///< we write: nobody may write, nor read what would change under him
};

/// WrongState when somebody else is in the way; the message names the process where /proc tells. A file system without
/// locks is no error.
Result<> lock_image(int fd, const std::string& path, Share share);
/// Before a file is let go that may stay open elsewhere (another descriptor of the same open file).
void unlock_image(int fd);

}  // namespace vireo::host
