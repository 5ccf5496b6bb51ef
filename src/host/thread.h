// Threads: names for people who look with ps and perf, and the signal that gets a thread out of a system call.
#pragma once

#include <pthread.h>

#include "base/types.h"

namespace vireo::host {

/// Names the calling thread; the kernel keeps 15 characters.
void name_thread(const char* name);

/// The calling thread's number, as ps and taskset know it.
int thread_number();

/// The signal of kick_thread. Its handler does nothing: what counts is that a blocking call (KVM_RUN, a futex wait)
/// returns with EINTR.
int kick_signal();

/// Installs the empty handler, without SA_RESTART. Once a process, before the first kick; more often does no harm.
void install_kick_signal();

/// Interrupts `thread`, which must not have been joined. A kick that arrives just before the blocking call is lost
/// unless the thread blocks the signal outside that call (KVM_SET_SIGNAL_MASK) or uses kvm_run.immediate_exit.
void kick_thread(pthread_t thread);

/// How long the calling thread has waited for a processor while it could run, in ns since it began (`run_delay` of
/// /proc/thread-self/schedstat). Always 0 on a kernel that does not count it. Takes a microsecond or two.
u64 run_delay_ns();

/// Whoever started this process wants it to ignore the signal: nohup, or a shell's background job.
bool signal_is_ignored(int signo);

}  // namespace vireo::host
