// Control state shared by the system instructions, far transfers and task switches.
#pragma once

#include "cpu/interp/select.h"

namespace vireo::cpu::interp {

/// RFLAGS bits of `mask` from `value`. An IF that becomes 1 makes the run loop look for interrupts. When TF, AC or VM
/// may have changed the caller calls update_mode.
inline void write_flags(Cpu& cpu, u64 value, u64 mask) {
  const u64 old = cpu.rflags;
  cpu.rflags = (old & ~mask) | (value & mask) | vm::x86::rflags::Fixed1;
  if (cpu.rflags & ~old & vm::x86::rflags::IF) cpu.interrupts_enabled();
}

inline void require_cpl0(Cpu& cpu) {
  if (cpu.cpl != 0) cpu.raise(Vector::GP, 0);
}

// control.cpp: MOV to CR0, CR3, CR4 with all checks (#GP(0)) and consequences.
void load_cr0(Cpu& cpu, u64 value);
void load_cr3(Cpu& cpu, u64 value);
void load_cr4(Cpu& cpu, u64 value);
Handler select_control_register(const DecodedInsn& decoded, Insn& insn);

// flags.cpp: CLI STI PUSHF POPF CLAC STAC
Handler select_flags(const DecodedInsn& decoded, Insn& insn);

// msr.cpp
void rdmsr(Cpu& cpu, const Insn& insn);
void wrmsr(Cpu& cpu, const Insn& insn);

// cpuid.cpp
void cpuid(Cpu& cpu, const Insn& insn);

}  // namespace vireo::cpu::interp
