#include "host/perf_map.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace vireo::host {

Result<std::unique_ptr<PerfMap>> PerfMap::create() {
  auto path = fmt::format("/tmp/perf-{}.map", ::getpid());
  ::unlink(path.c_str());  // of an earlier process with this number
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_errno(errno, fmt::format("cannot create {} for perf", path));
  return std::unique_ptr<PerfMap>(new PerfMap(std::move(file), std::move(path)));
}

void PerfMap::add(const u8* code, u64 size, const std::string& name) {
  const auto line = fmt::format("{:x} {:x} {}\n", reinterpret_cast<u64>(code), size, name);
  // One call, so that lines of several threads stay whole.
  [[maybe_unused]] const auto written = ::write(file_.get(), line.data(), line.size());
}

}  // namespace vireo::host
