// Hardware task switches (SDM 3A 7.3): by JMP, CALL, INT or an event through a TSS or task gate, and by IRET with NT
// set.
#pragma once

#include "cpu/interp/segment.h"

namespace vireo::cpu::interp {

enum class TaskSwitch : u8 { Jump, Call, Interrupt, Return };

/// The available TSS a task gate names. Raises #GP or #NP with the TSS's selector.
Descriptor fetch_task_of_gate(Cpu& cpu, const Descriptor& gate, u32 ext);

/// Saves the old task with `old_rip` and `old_flags`, and loads the one whose TSS is `tss` (checked: a present TSS,
/// available, or busy for Return). Faults before the commit point leave the old task running; those after it are the
/// new task's: cpu.rip is its EIP then. On return cpu.rip and cpu.next_rip are the new EIP.
void switch_task(Cpu& cpu, u16 selector, const Descriptor& tss, TaskSwitch kind, u64 old_rip, u64 old_flags, u32 ext);

/// IRET with NT set: back to the task the current TSS links to.
void return_from_task(Cpu& cpu);

/// Whether a TSS's size is 32 bits (else 16).
inline bool is_wide_tss(unsigned type) { return type & 8; }

}  // namespace vireo::cpu::interp
