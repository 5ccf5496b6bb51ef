#include "host/thread.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <string>
#include <string_view>

#include "host/fd.h"

namespace vireo::host {

void name_thread(const char* name) { ::pthread_setname_np(::pthread_self(), std::string(name).substr(0, 15).c_str()); }

int thread_number() { return ::gettid(); }

int kick_signal() { return SIGRTMIN; }

void install_kick_signal() {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  sigemptyset(&action.sa_mask);
  ::sigaction(kick_signal(), &action, nullptr);
}

void kick_thread(pthread_t thread) { ::pthread_kill(thread, kick_signal()); }

u64 run_delay_ns() {
  // "thread-self" is resolved when it is opened: each thread has a file of its own.
  thread_local const Fd file(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC));
  char text[96];  // time on a processor, time waited for one, number of turns
  const ssize_t size = file ? ::pread(file.get(), text, sizeof text, 0) : -1;
  const std::string_view line(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  const auto space = line.find(' ');
  if (space == std::string_view::npos) return 0;
  u64 waited = 0;
  std::from_chars(line.data() + space + 1, line.data() + line.size(), waited);
  return waited;
}

bool signal_is_ignored(int signo) {
  struct sigaction action{};
  return ::sigaction(signo, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace vireo::host
