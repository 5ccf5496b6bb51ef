// Debug registers and single step (SDM 3B 17.2, 17.3). The run loop asks debug_active once per block; while it says
// yes, it runs in steps:
//   check_execute_breakpoints(cpu)          before the instruction at cpu.rip is executed; may raise the fault-class
//   #DB
//   ... the instruction, whose accesses are noted by the memory and I/O functions ...
//   take_debug_trap(cpu, tf)                after it, rip already the next one's; `tf` is RFLAGS.TF before the
//   instruction
// and delivers #DB when the last returns true. Task switches (TSS.T) and shadows may leave something in
// cpu.debug_pending when no breakpoint is set: debug_active covers that too.
#pragma once

#include "cpu/interp/cpu.h"

namespace vireo::cpu::interp {

/// TF or RF is set, a breakpoint is enabled in DR7, or a debug trap is pending.
bool debug_active(const Cpu& cpu);

/// A data breakpoint (or, with CR4.DE, an I/O breakpoint) is enabled: memory accesses have to be looked at one by one.
bool data_breakpoints_active(const Cpu& cpu);

/// What is pending from a task switch, then the instruction breakpoints at cpu.rip. Raises #DB, for breakpoints unless
/// RFLAGS.RF is set, which lasts one instruction and is cleared here.
void check_execute_breakpoints(Cpu& cpu);

/// Data breakpoints hit by an access to [va, va+size): the trap comes after the instruction.
void note_data_access(Cpu& cpu, u64 va, unsigned size, Access access);

/// I/O breakpoints (CR4.DE, DR7.R/W = 10b).
void note_port_access(Cpu& cpu, u16 port, unsigned size);

/// In Cpu::debug_pending: the instruction cleared TF by entering a handler (INT n, SYSCALL), which is not stepped into.
constexpr u64 kNoSingleStep = bit(63);

/// What became of the instruction just finished: puts BS, B0..B3 and BT into DR6 and returns true when #DB is to be
/// delivered now.
bool take_debug_trap(Cpu& cpu, bool single_step);

}  // namespace vireo::cpu::interp
