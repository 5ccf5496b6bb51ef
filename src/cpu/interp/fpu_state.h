// Handlers of x87 and vector state instructions, by family. All take the operand width (2, 4 or 8 bytes) in Insn::imm.
#pragma once

#include "cpu/interp/host_exec.h"

namespace vireo::cpu::interp {

/// xsave_area.cpp: FXSAVE, FXRSTOR and the XSAVE family; nullptr for other mnemonics.
Handler xsave_handler(ZydisMnemonic mnemonic);
/// x87_environment.cpp: FLDENV, FNSTENV, FNSAVE, FRSTOR; nullptr for other mnemonics.
Handler x87_environment_handler(ZydisMnemonic mnemonic);

/// Sets FCW and the summary bits of FSW that follow from it (SDM 1 8.1.3.3).
inline void set_x87_control(vm::x86::FpuState& fpu, u16 fcw) {
  fpu.fcw = static_cast<u16>((fcw & 0x1F7F) | 0x40);
  fpu.fsw &= 0x7F7F;
  if (x87_pending(fpu)) fpu.fsw |= 0x8080;
}

/// FNINIT: everything but the contents of the registers.
inline void init_x87(vm::x86::FpuState& fpu) {
  x86::set_x87_top(fpu, 0);
  fpu.fcw = 0x37F;
  fpu.fsw = fpu.fop = fpu.fcs = fpu.fds = 0;
  fpu.ftw = 0;
  fpu.fip = fpu.fdp = 0;
}

}  // namespace vireo::cpu::interp
