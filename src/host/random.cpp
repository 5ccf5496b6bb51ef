#include "host/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace vireo::host {

void fill_random(std::span<u8> to) {
  while (!to.empty()) {
    const auto got = ::getrandom(to.data(), to.size(), 0);
    if (got < 0 && errno != EINTR) std::abort();  // no Linux we run on lacks it
    if (got > 0) to = to.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace vireo::host
