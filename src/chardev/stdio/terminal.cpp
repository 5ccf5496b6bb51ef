#include "chardev/stdio/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace vireo::chardev {
namespace {

// The one terminal. Written before `active` is set, read by signal handlers afterwards.
struct {
  int fd = -1;
  termios before{}, raw{};
} terminal;
std::atomic<bool> active{false};

// Setting the mode of a terminal from its background stops the process (SIGTTOU), and is none of our business there.
bool in_background(int fd) {
  const pid_t owner = ::tcgetpgrp(fd);
  return owner > 0 && owner != ::getpgrp();
}

// Async-signal-safe, as are the functions it uses.
void set_mode(const termios& mode) {
  const int error = errno;
  if (active.load(std::memory_order_acquire) && !in_background(terminal.fd)) ::tcsetattr(terminal.fd, TCSANOW, &mode);
  errno = error;
}

void restore() { set_mode(terminal.before); }

void take_signal(int signo) {
  switch (signo) {
    case SIGCONT:
      set_mode(terminal.raw);
      return;
    case SIGTSTP:
      restore();
      ::raise(SIGSTOP);
      return;
    default:
      // SA_RESETHAND has set the default action again: the process ends as it would have.
      restore();
      ::raise(signo);
  }
}

void install_handlers() {
  std::atexit(restore);
  std::at_quick_exit(restore);
  for (const int signo : {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGALRM,
                          SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ, SIGCONT, SIGTSTP}) {
    struct sigaction old{};
    if (::sigaction(signo, nullptr, &old) != 0 || (old.sa_flags & SA_SIGINFO) != 0 || old.sa_handler != SIG_DFL)
      continue;
    struct sigaction action{};
    action.sa_handler = take_signal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = signo == SIGCONT || signo == SIGTSTP ? SA_RESTART : static_cast<int>(SA_RESETHAND);
    ::sigaction(signo, &action, nullptr);
  }
}

}  // namespace

std::unique_ptr<RawTerminal> RawTerminal::enter(int fd) {
  if (active || ::isatty(fd) == 0 || in_background(fd)) return nullptr;
  if (::tcgetattr(fd, &terminal.before) != 0) return nullptr;
  terminal.fd = fd;
  terminal.raw = terminal.before;
  ::cfmakeraw(&terminal.raw);
  terminal.raw.c_oflag = terminal.before.c_oflag;
  if (::tcsetattr(fd, TCSANOW, &terminal.raw) != 0) return nullptr;
  active.store(true, std::memory_order_release);
  static const bool installed = (install_handlers(), true);
  static_cast<void>(installed);
  return std::unique_ptr<RawTerminal>(new RawTerminal);
}

RawTerminal::~RawTerminal() {
  restore();
  active = false;
}

}  // namespace vireo::chardev
