// Bytes -> Insn.
#pragma once

#include <span>

#include "cpu/interp/select.h"

namespace vireo::cpu::interp {

enum class DecodeStatus : u8 {
  Ok,         ///< `insn` is ready (an undefined opcode is an Insn whose handler raises #UD)
  NeedBytes,  ///< the instruction goes on after the bytes given
  TooLong,    ///< over 15 bytes: #GP(0)
};

/// Decodes the instruction at the start of `bytes` (1..15 of them) for `mode`.
DecodeStatus decode(Cpu& cpu, CodeMode mode, std::span<const u8> bytes, Insn& insn);

/// Whether control never simply goes on to the next instruction, or state that blocks depend on may change.
bool ends_block(const Insn& insn);

}  // namespace vireo::cpu::interp
