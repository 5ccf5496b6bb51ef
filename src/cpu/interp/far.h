// Handlers of control transfers between segments and privilege levels; select_far (far.cpp) picks among them.
// insn.op_size is the operand size in bytes, insn.imm what each says.
#pragma once

#include "cpu/interp/segment.h"

namespace vireo::cpu::interp {

// far_return.cpp
void far_return(Cpu& cpu, const Insn& insn);  ///< imm: bytes of parameters to release
void interrupt_return(Cpu& cpu, const Insn& insn);

// syscall.cpp
void syscall(Cpu& cpu, const Insn& insn);
void sysret(Cpu& cpu, const Insn& insn);
void sysenter(Cpu& cpu, const Insn& insn);
void sysexit(Cpu& cpu, const Insn& insn);

/// CS for a far transfer in real and virtual-8086 mode; #GP(0) when `offset` is past its limit.
Segment unprotected_code(Cpu& cpu, u16 selector, u64 offset);
/// Not PE, or VM: segments are paragraphs.
inline bool unprotected(const Cpu& cpu) { return !cpu.protected_mode() || cpu.v86(); }

}  // namespace vireo::cpu::interp
