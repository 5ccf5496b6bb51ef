// The interpreter: x86-64 guests instruction by instruction, complete and exact. It is the oracle that faster engines
// are compared with and what they fall back to; and on hosts without hardware virtualization it boots what KVM boots.
//
// Life of an instruction. The run loop (interp.cpp) asks BlockCache for the decoded block at RIP. decode.cpp turned
// bytes into Insn with Zydis and let a selector (instructions.inc, one row an instruction) pick the handler: a small
// function over Cpu. Handlers compute, touch memory through Cpu's soft TLB, and commit. What is rare and unprivileged
// (x87, vectors, AES, ...) is executed by the host's own instruction on copies of the operands (host_exec.h). A fault
// leaves a handler through Cpu::raise (longjmp) with all guest state as it was; the run loop delivers it
// (interrupt.cpp).
//
// Invariants
// - Between instructions Cpu holds the whole truth; state() may be asked at any of these points.
// - Interrupts, kicks and other vCPUs' requests set Cpu::attention and are looked at between blocks. Whatever makes an
// interrupt
//   deliverable that was not before (IF, TPR, CR8) sets it too.
// - Every store to guest RAM checks the generation of what it wrote, so decoded code is never stale (vm/memory.h).
// - Flags are exact, the undefined ones included: arithmetic is done by the host's own instruction (flags.h).
#pragma once

#include <memory>

#include "vm/engine/engine.h"

namespace vireo::cpu::interp {

std::unique_ptr<vm::Vcpu> make_interpreter(const vm::VcpuSetup& setup);

/// Runs one instruction from where `vcpu` (made by make_interpreter) stands, delivering a fault it raises, without
/// looking for interrupts. For engines that cannot run an instruction themselves, and for lock-step comparison.
vm::Exit step(vm::Vcpu& vcpu);

}  // namespace vireo::cpu::interp
