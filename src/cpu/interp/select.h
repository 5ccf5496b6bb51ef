// From a decoded instruction to its handler. Each family of instructions has one selector in the file that implements
// it; instructions.inc is the single list that maps mnemonics to selectors.
#pragma once

#include <Zydis/Zydis.h>

#include <span>

#include "cpu/interp/cpu.h"

namespace vireo::cpu::interp {

/// What a selector may look at: Zydis's full decoding. Operands include hidden ones (count: decoded.operand_count).
struct DecodedInsn {
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  const u8* bytes = nullptr;  ///< instruction.length of them
  CodeMode mode = CodeMode::Bits16;
};

/// Picks the handler; may fill insn.imm and insn.data. The common fields of `insn` are already set. nullptr: #UD.
using Selector = Handler (*)(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);

// integer.cpp, shift.cpp, bits.cpp, multiply.cpp, string.cpp, branch.cpp, stack.cpp
Handler select_integer(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
Handler select_shift(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
Handler select_bits(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
Handler select_multiply(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
Handler select_string(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
Handler select_branch(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
Handler select_stack(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
// far.cpp: far jump/call/return, INT n, INT3, INTO, IRET, SYSCALL, SYSRET, SYSENTER, SYSEXIT
Handler select_far(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
// segment.cpp: MOV/POP/PUSH Sreg, LDS.., LAR LSL VERR VERW ARPL, SGDT SIDT SLDT STR SMSW and their loads
Handler select_segment(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
// system.cpp: CR, DR, CPUID, MSR, TSC, HLT, CLI, STI, PUSHF, POPF, INVLPG, INVPCID, SWAPGS, FSGSBASE, VMCALL, ...
Handler select_system(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
// io.cpp: IN, OUT, INS, OUTS
Handler select_io(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
// host_exec.cpp and its siblings: x87, MMX, SSE, AVX, BMI, AES, SHA, ...; x87/vector state instructions; masked moves,
// gathers
Handler select_host(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
Handler select_fpu_state(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
Handler select_masked(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);
// evex_gather.cpp: scatters, and the EVEX gathers, which select_masked hands over
Handler select_evex_gather(Cpu& cpu, const DecodedInsn& decoded, Insn& insn);

}  // namespace vireo::cpu::interp
