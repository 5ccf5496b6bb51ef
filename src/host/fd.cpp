#include "host/fd.h"

#include <fcntl.h>
#include <unistd.h>

namespace vireo::host {

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Fd Fd::duplicate() const { return Fd(::fcntl(fd_, F_DUPFD_CLOEXEC, 0)); }

}  // namespace vireo::host
