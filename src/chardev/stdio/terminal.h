// A terminal in raw mode, put back as it was whatever happens.
//
// Besides the destructor the mode is restored by exit() and quick_exit(), and by the signals that end a process, as far
// as their disposition is still the default one: fatal ones (SIGSEGV, SIGABRT, ...) and requests (SIGTERM, SIGHUP, ...)
// alike. Only SIGKILL and _exit() leave it raw. After a stop and SIGCONT the raw mode is set again. Output processing
// stays on, so that log lines with a bare newline look right.
#pragma once

#include <memory>

namespace vireo::chardev {

class RawTerminal {
 public:
  /// nullptr when `fd` is no terminal, or one in whose background this process runs, or when one is raw already (a
  /// process has one terminal). `fd` stays open until after the destructor.
  static std::unique_ptr<RawTerminal> enter(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  RawTerminal() = default;
};

}  // namespace vireo::chardev
