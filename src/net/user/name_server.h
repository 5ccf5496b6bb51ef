// How libslirp learns the host's name server: it reads /etc/resolv.conf when the guest asks, and again when the file
// has changed. In a sandbox that wants preparation.
#pragma once

#include <vector>

#include "host/fd.h"

namespace vireo::net {

/// Lets libslirp read the file once. As long as the file stays the same it does not read it again, but only looks at
/// its times: that is all the sandbox has to allow it where it cannot tell one file from another.
void learn_name_server();

/// What has to stay readable so that a changed file is read, where the sandbox can tell files apart: the file, and the
/// folder that a resolver keeps it in if it has one of its own (/run/systemd/resolve), for there a new one takes its
/// place. A file in /etc itself that is replaced is not found any more; the folder has too much else in it.
std::vector<host::Fd> open_name_server_files();

}  // namespace vireo::net
