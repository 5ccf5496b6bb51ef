#include "chardev/stdio/stdio.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/log.h"

namespace vireo::chardev {
namespace {

constexpr u8 kLeave = 0x1D;  ///< Ctrl-]

// The same file in non-blocking mode, by a description of our own: the mode of the inherited one is shared with the
// shell. What cannot be opened again (a socket) or should not be (a file's position is shared, a pty master is made
// anew) is duplicated.
host::Fd open_again(int fd, int flags) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return {};
  unsigned number = 0;
  const bool pty_master = ::ioctl(fd, TIOCGPTN, &number) == 0;
  if (S_ISFIFO(status.st_mode) || (S_ISCHR(status.st_mode) && !pty_master)) {
    const std::string path = fmt::format("/proc/self/fd/{}", fd);
    host::Fd again(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (again) return again;
  }
  return host::Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

}  // namespace

Result<std::unique_ptr<StdioChannel>> StdioChannel::create(host::Loop& loop, std::function<void()> left) {
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<RawTerminal> terminal = RawTerminal::enter(STDIN_FILENO);
  if (terminal) {
    std::fputs("Press Ctrl-] to leave.\n", stderr);
  } else if (::isatty(STDIN_FILENO) != 0) {
    log::info("the terminal belongs to another program: the serial port has no input");
  }
  return std::unique_ptr<StdioChannel>(new StdioChannel(loop, std::move(left), std::move(terminal)));
}

StdioChannel::StdioChannel(host::Loop& loop, std::function<void()> left, std::unique_ptr<RawTerminal> terminal)
    : terminal_(std::move(terminal)),
      output_(loop, open_again(STDOUT_FILENO, O_WRONLY), {}),
      input_(loop, terminal_ || ::isatty(STDIN_FILENO) == 0 ? open_again(STDIN_FILENO, O_RDONLY) : host::Fd(),
             terminal_ ? std::function<bool(u8)>([left = std::move(left)](u8 byte) {
               if (byte == kLeave && left) left();
               return byte != kLeave;
             })
                       : std::function<bool(u8)>()) {}

StdioChannel::~StdioChannel() = default;

void StdioChannel::set_sink(ByteSink* sink) {
  input_.set_sink(sink);
  output_.set_ready(sink == nullptr ? std::function<void()>() : [sink] { sink->output_ready(); });
}

}  // namespace vireo::chardev
