// Delivery of events through the IVT or IDT, for the run loop (as Cpu::deliver) and the INT instructions.
#pragma once

#include "cpu/interp/cpu.h"

namespace vireo::cpu::interp {

/// As Cpu::deliver, with the return address given. Sets next_rip (after a task switch rip as well); raises what
/// delivery raises.
void deliver_event(Cpu& cpu, u8 vector, EventKind kind, bool has_error, u32 error, u64 return_rip);

/// INT n in virtual-8086 mode with CR4.VME: whether the TSS's redirection bitmap sends it to the 8086 program's own
/// handler (SDM 3B 20.3.3), and that delivery.
bool is_redirected(Cpu& cpu, u8 vector);
void deliver_redirected(Cpu& cpu, u8 vector);

}  // namespace vireo::cpu::interp
