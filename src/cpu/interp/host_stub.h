// Stubs: a few host instructions that load the guest registers an instruction names, run it, and put back what it
// wrote.
#pragma once

#include "cpu/interp/host_encode.h"
#include "cpu/interp/host_signal.h"

namespace vireo::cpu::interp {

/// What stubs reach besides the Cpu.
struct HostFrame {
  alignas(64) u8 scratch[64];  ///< the memory operand; first, so that stubs address it without a displacement
  alignas(64) u8 x87[512];     ///< FXSAVE image around x87 and MMX instructions
  u64 flags;                   ///< status flags in and out
  u32 mxcsr;                   ///< the host's, while the guest's is loaded
};

/// How to run one instruction: what a stub is made of.
struct StubPlan {
  HostBytes instruction;
  HostRegs regs;
  bool vex = false;  ///< VEX or EVEX
  bool evex = false;
  bool flags = false;  ///< reads or writes status flags
  bool mxcsr = false;  ///< depends on MXCSR
  bool x87 = false;    ///< runs on the x87 image
};

constexpr unsigned kMaxStubSize = 1024;

struct Stub {
  FaultPoint fault;
  const u8* entry = nullptr;
  unsigned size = 0;

  /// False: the instruction faulted; nothing but MXCSR's exception flags and the x87 image has changed.
  bool call() const { return reinterpret_cast<u32 (*)()>(reinterpret_cast<u64>(entry))() == 0; }
};

/// Writes a stub of at most kMaxStubSize bytes to `to`, which will be executed at `executable`.
Stub emit_stub(const StubPlan& plan, Cpu& cpu, HostFrame& frame, u8* to, const u8* executable);

}  // namespace vireo::cpu::interp
