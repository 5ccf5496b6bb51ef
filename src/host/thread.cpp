#include "host/thread.h"

#include <csignal>
#include <string>

namespace vireo::host {

void name_thread(const char* name) { ::pthread_setname_np(::pthread_self(), std::string(name).substr(0, 15).c_str()); }

int kick_signal() { return SIGRTMIN; }

void install_kick_signal() {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  sigemptyset(&action.sa_mask);
  ::sigaction(kick_signal(), &action, nullptr);
}

void kick_thread(pthread_t thread) { ::pthread_kill(thread, kick_signal()); }

bool signal_is_ignored(int signo) {
  struct sigaction action{};
  return ::sigaction(signo, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace vireo::host
