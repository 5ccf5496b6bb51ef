#include "chardev/pty/pty.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace vireo::chardev {
namespace {

/// Opens the other end for a moment: its mode stays, and from now on the kernel tells whether somebody has it open.
Result<> make_raw(const std::string& path) {
  const host::Fd terminal(::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios mode{};
  if (!terminal || ::tcgetattr(terminal.get(), &mode) != 0) {
    return fail_errno(errno, fmt::format("cannot open the terminal {}", path));
  }
  ::cfmakeraw(&mode);
  if (::tcsetattr(terminal.get(), TCSANOW, &mode) != 0) return fail_errno(errno, "cannot set up a terminal");
  return {};
}

}  // namespace

Result<std::unique_ptr<PtyChannel>> PtyChannel::create(host::Loop& loop) {
  host::Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  std::array<char, 64> name{};
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0 ||
      ::ptsname_r(master.get(), name.data(), name.size()) != 0) {
    return fail_errno(errno, "cannot make a pseudo terminal");
  }
  const std::string path = name.data();
  TRY(make_raw(path));
  host::Fd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!changes || ::inotify_add_watch(changes.get(), path.c_str(), IN_OPEN | IN_CLOSE) < 0) {
    return fail_errno(errno, "cannot watch a pseudo terminal");
  }
  std::unique_ptr<PtyChannel> channel(new PtyChannel(loop, std::move(master), std::move(changes), path));
  TRY(channel->watcher_->set_events(EPOLLIN));
  return channel;
}

PtyChannel::PtyChannel(host::Loop& loop, host::Fd master, host::Fd changes, std::string path)
    : master_(std::move(master)), changes_(std::move(changes)), path_(std::move(path)), peer_(loop) {
  watcher_ = loop.watch(changes_.get(), [this](u32) { look(); });
}

void PtyChannel::look() {
  std::array<char, 4096> events;
  while (::read(changes_.get(), events.data(), events.size()) > 0) {
  }
  pollfd state{.fd = master_.get(), .events = 0, .revents = 0};
  const bool open = ::poll(&state, 1, 0) >= 0 && (state.revents & POLLHUP) == 0;
  if (open == peer_.attached()) return;
  if (!open) return peer_.detach();
  // An end that is told by the input rather than by inotify: somebody may have opened it again by now.
  peer_.attach(master_.duplicate(), [this] { look(); });
}

}  // namespace vireo::chardev
