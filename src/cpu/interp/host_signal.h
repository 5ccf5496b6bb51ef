// Faults that the host CPU raises inside a stub (unmasked SIMD floating-point exceptions, instructions the host lacks).
#pragma once

#include "base/types.h"

namespace vireo::cpu::interp {

/// The one place in a stub that may fault, and where to go then.
struct FaultPoint {
  const u8* instruction = nullptr;
  const u8* bail_out = nullptr;
};

/// Routes SIGFPE and SIGILL at the running stub's fault point to its bail-out; any other goes to whoever was there
/// before. Process wide; calling it again does nothing.
void install_host_signal_handlers();

/// The stub this thread is in, or nullptr.
void set_running_stub(const FaultPoint* point);
/// SIGFPE or SIGILL: what the last bail-out on this thread was for.
int last_stub_signal();

}  // namespace vireo::cpu::interp
