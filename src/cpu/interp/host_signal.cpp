#include "cpu/interp/host_signal.h"

#include <signal.h>
#include <ucontext.h>

#include <mutex>

namespace vireo::cpu::interp {

namespace {

thread_local const FaultPoint* volatile running = nullptr;
thread_local volatile int signal_seen = 0;

struct sigaction previous_fpe, previous_ill;

void chain(const struct sigaction& previous, int number, siginfo_t* info, void* context) {
  if (previous.sa_flags & SA_SIGINFO) {
    previous.sa_sigaction(number, info, context);
  } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
    // Back at the instruction the fault happens again, and takes the process down.
    struct sigaction fatal = {};
    fatal.sa_handler = SIG_DFL;
    sigaction(number, &fatal, nullptr);
  } else {
    previous.sa_handler(number);
  }
}

void on_fault(int number, siginfo_t* info, void* context) {
  auto* machine = static_cast<ucontext_t*>(context);
  const FaultPoint* point = running;
  greg_t& pc = machine->uc_mcontext.gregs[REG_RIP];
  if (point != nullptr && pc == reinterpret_cast<greg_t>(point->instruction)) {
    signal_seen = number;
    pc = reinterpret_cast<greg_t>(point->bail_out);
    return;
  }
  chain(number == SIGFPE ? previous_fpe : previous_ill, number, info, context);
}

}  // namespace

void install_host_signal_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGFPE, &action, &previous_fpe);
    sigaction(SIGILL, &action, &previous_ill);
  });
}

void set_running_stub(const FaultPoint* point) { running = point; }
int last_stub_signal() { return signal_seen; }

}  // namespace vireo::cpu::interp
