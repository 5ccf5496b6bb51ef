#include "host/fd.h"

#include <fcntl.h>
#include <unistd.h>

namespace vireo::host {

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Fd Fd::duplicate() const { return Fd(::fcntl(fd_, F_DUPFD_CLOEXEC, 0)); }

Access access_of(const Fd& fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || (flags & O_PATH) != 0) return {};
  const int mode = flags & O_ACCMODE;
  return {.read = mode != O_WRONLY,
          .write = mode != O_RDONLY,
          .append = (flags & O_APPEND) != 0,
          .direct = (flags & O_DIRECT) != 0};
}

}  // namespace vireo::host
