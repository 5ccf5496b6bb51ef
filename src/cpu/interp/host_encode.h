// Rewrites one guest instruction's bytes into a form that runs in 64-bit mode on copies of its operands: prefixes that
// concern addresses dropped, the memory operand replaced by [register], RSP as an operand renamed.
#pragma once

#include <array>

#include "cpu/interp/select.h"

namespace vireo::cpu::interp {

/// The host's register numbers for one instruction.
struct HostRegs {
  u16 gpr_used = 0;  ///< guest general registers the instruction names or uses, by number
  u16 gpr_written = 0;
  u32 vector_used = 0;
  u32 vector_written = 0;
  u8 opmask_used = 0;
  u8 opmask_written = 0;
  u8 memory = 0;   ///< holds the address of the scratch buffer
  u8 context = 0;  ///< holds the address of the Cpu
  u8 rsp_as = 4;   ///< number under which the instruction sees guest RSP
  bool memory_read = false, memory_written = false, mmx = false;
  u8 memory_size = 0;  ///< in bytes, 0: no memory operand
};

/// Registers named by the operands, and free ones for the stub. False: an operand no stub can have.
bool assign_registers(const DecodedInsn& decoded, HostRegs& regs);

struct HostBytes {
  std::array<u8, 20> byte{};
  u8 size = 0;
  void add(unsigned value) { byte[size++] = static_cast<u8>(value); }
  bool operator==(const HostBytes&) const = default;
};

HostBytes rewrite(const DecodedInsn& decoded, const HostRegs& regs);

}  // namespace vireo::cpu::interp
