// Faults that translated code meets on the host: a misaligned vector, a division by zero, an unmasked SIMD exception,
// an address that is not canonical (kNoBase passes the check of an empty slot; off RBP that is a stack fault, SIGBUS).
// The interpreter executes the instruction and raises what the guest gets. Anything else is ours, and goes to whoever
// was there before.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <mutex>

#include "cpu/translate/translator.h"

namespace vireo::cpu::translate {

namespace {

thread_local Translator* volatile current = nullptr;

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[std::size(kSignals)];

void chain(int number, siginfo_t* info, void* context) {
  for (std::size_t i = 0; i < std::size(kSignals); ++i) {
    if (kSignals[i] != number) continue;
    const struct sigaction& action = previous[i];
    if (action.sa_flags & SA_SIGINFO) {
      action.sa_sigaction(number, info, context);
    } else if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) {
      // Back at the instruction the fault happens again, and takes the process down.
      struct sigaction fatal = {};
      fatal.sa_handler = SIG_DFL;
      sigaction(number, &fatal, nullptr);
    } else {
      action.sa_handler(number);
    }
  }
}

void on_fault(int number, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  if (Translator* translator = current; translator != nullptr) {
    if (number == SIGSEGV && info->si_code != SI_KERNEL) {
      // A real address was not accessible. Guest RAM always is; what may overflow is the stack of return addresses.
      const u64 stack = translator->overflowed_stack(reinterpret_cast<u64>(info->si_addr));
      if (stack != 0) {
        registers[REG_RSP] = static_cast<greg_t>(stack);
        return;
      }
    } else if (number != SIGBUS || info->si_code == BUS_ADRALN || info->si_code == SI_KERNEL) {
      if (const u8* go_on = translator->take_fault(reinterpret_cast<const u8*>(registers[REG_RIP]))) {
        registers[REG_RIP] = reinterpret_cast<greg_t>(go_on);
        return;
      }
    }
  }
  chain(number, info, context);
}

/// Handlers run on a stack of their own: translated code's RSP has no room for them.
void give_thread_a_signal_stack() {
  constexpr u64 kBytes = 64 * kKiB;
  struct Stack {
    Stack() {
      memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) return;
      stack_t stack = {};
      stack.ss_sp = memory;
      stack.ss_size = kBytes;
      ::sigaltstack(&stack, nullptr);
    }
    ~Stack() {
      if (memory == MAP_FAILED) return;
      stack_t stack = {};
      stack.ss_flags = SS_DISABLE;
      ::sigaltstack(&stack, nullptr);
      ::munmap(memory, kBytes);
    }
    void* memory;
  };
  thread_local Stack stack;
}

}  // namespace

void set_current(Translator* translator) {
  if (current == translator) return;
  give_thread_a_signal_stack();
  current = translator;
}

void install_fault_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &action, &previous[i]);
  });
}

}  // namespace vireo::cpu::translate
