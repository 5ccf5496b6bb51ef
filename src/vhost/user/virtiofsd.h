// Starts QEMU's virtiofsd (Debian: qemu-system-common) for one folder, and connects to it. It ends when the connection
// does.
//
// It locks itself in to the folder by namespaces. Without root it is put into a user namespace of its own, in which
// this process's user is root and nobody else exists: all files then belong to that user, whoever made them in the
// guest, and the guest cannot give them to others. Read-only is a mount: the daemon cannot write either.
#pragma once

#include <string>

#include "base/result.h"
#include "vhost/user/connection.h"

namespace vireo::vhost::user {

struct Virtiofsd {
  std::string folder;
  bool read_only = false;
};

/// Before any other thread is started, and before the guest has memory, for it forks. NotFound: there is no folder, or
/// no virtiofsd. What else the daemon does not like it says on standard error, and ends.
Result<Connection> start(const Virtiofsd& options);

}  // namespace vireo::vhost::user
