// A decoded instruction: what a handler needs, in 48 bytes, made once and run many times.
#pragma once

#include "base/types.h"

namespace vireo::cpu::interp {

class Cpu;
struct Insn;

/// Executes one instruction. On entry cpu.rip is its address and cpu.next_rip the address after it; a branch sets
/// next_rip. A fault leaves through Cpu::raise (which does not return) and must find all guest state as it was before:
/// compute and touch memory first, commit afterwards. Because of that way out a handler holds no object with a
/// destructor while it touches guest memory.
using Handler = void (*)(Cpu& cpu, const Insn& insn);

/// A register operand is a byte offset into Cpu::r, so that AH..BH (offset 8 * n + 1) need no test.
using RegSlot = u8;
constexpr RegSlot kRipSlot = 16 * 8;   ///< reads as the next instruction's address
constexpr RegSlot kZeroSlot = 17 * 8;  ///< reads as 0: no base or no index

struct Insn {
  Handler handler = nullptr;
  u64 imm = 0;  ///< immediate (sign extended to operand size and on to 64 bits), branch displacement, moffs address
  const void* data = nullptr;  ///< the handler's own per-instruction data (host_exec), owned by the vCPU
  i32 disp = 0;                ///< displacement of the memory operand
  u16 mnemonic = 0;            ///< ZydisMnemonic
  u8 length = 0;               ///< 1..15
  u8 op_size = 0;              ///< operand size in bytes: 1, 2, 4, 8 (of the main operand)
  u8 addr_size = 0;            ///< 2, 4, 8
  RegSlot reg = 0;             ///< ModRM.reg register operand, or the only register operand
  RegSlot rm = 0;              ///< ModRM.rm register operand when !has_mem
  RegSlot base = kZeroSlot, index = kZeroSlot;
  u8 scale = 0;  ///< log2
  u8 seg = 0;    ///< vm::x86::Seg of the memory operand
  bool has_mem = false;
  bool lock = false;
  u8 rep = 0;        ///< 0, 0xF3 or 0xF2
  u8 modrm_reg = 0;  ///< raw ModRM.reg with REX.R (control, debug and segment register number)
  u8 rex_w = 0;
  u8 cond = 0;  ///< low opcode nibble of Jcc, SETcc, CMOVcc
};
static_assert(sizeof(Insn) <= 56);

}  // namespace vireo::cpu::interp
