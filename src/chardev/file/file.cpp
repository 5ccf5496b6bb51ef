#include "chardev/file/file.h"

#include <fcntl.h>

#include <cerrno>
#include <csignal>

namespace vireo::chardev {

Result<std::unique_ptr<FileChannel>> FileChannel::create(host::Loop& loop, const std::string& path) {
  host::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666));
  if (!fd) return fail_errno(errno, fmt::format("cannot open '{}' for the serial output", path));
  std::signal(SIGPIPE, SIG_IGN);  // for a FIFO whose reader goes away
  return std::unique_ptr<FileChannel>(new FileChannel(loop, std::move(fd)));
}

FileChannel::FileChannel(host::Loop& loop, host::Fd fd) : output_(loop, std::move(fd), {}) {}

void FileChannel::set_sink(ByteSink* sink) {
  output_.set_ready(sink == nullptr ? std::function<void()>() : [sink] { sink->output_ready(); });
}

}  // namespace vireo::chardev
