#include "host/fd.h"

#include <unistd.h>

namespace vireo::host {

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace vireo::host
