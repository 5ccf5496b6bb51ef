// Seam 1: what runs a virtual CPU. KVM, the interpreter and later the translator are the same to everything above.
//
//   machine --makes--> Vcpu --calls--> MachineIo (the machine's bus)
//                        |--calls--> LocalApic   (software engines only; KVM has its own in the kernel)
//                        '--returns-> Exit       (a short closed list)
//
// Rules
// - A Vcpu belongs to one thread: run, state, set_state and stats are called from it (or from anyone while it is
// parked, with
// a
//   happens-before in between). `kick` alone may be called from any thread, at any time, and is sticky: the run() it
//   interrupts, or the next one, returns Exit::Kicked.
// - run() executes guest instructions, delivers interrupts, sleeps in HLT and waits for INIT/SIPI by itself. When it
// returns
//   the vCPU is at an instruction boundary and state() is the whole truth about it.
// - An engine never calls MachineIo or LocalApic with a lock held.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "vm/clock/clock.h"
#include "vm/engine/local_apic.h"
#include "vm/engine/stats.h"
#include "vm/memory/memory.h"
#include "vm/x86/cpuid.h"
#include "vm/x86/state.h"

namespace vireo::vm {

/// Why run() came back.
enum class ExitReason : u8 {
  Kicked,       ///< somebody called kick()
  TripleFault,  ///< the guest's CPU shut down (SDM 3A 6.15, #DF); state() is the state at the fault
  Failed,       ///< the engine cannot go on; `message` says why, state() is the last good state
};

struct Exit {
  ExitReason reason = ExitReason::Kicked;
  std::string message;  ///< Failed only
};

/// The machine as a CPU reaches it outside RAM. Called from vCPU threads, several at once. `size` is 1, 2, 4 (ports) or
/// 1..8 (MMIO); MMIO accesses do not cross a page.
class MachineIo {
 public:
  virtual ~MachineIo() = default;
  virtual u64 mmio_read(u64 gpa, u8 size) = 0;
  virtual void mmio_write(u64 gpa, u8 size, u64 value) = 0;
  virtual u32 port_read(u16 port, u8 size) = 0;
  virtual void port_write(u16 port, u8 size, u32 value) = 0;
  /// The 8259 pair has an interrupt for the bootstrap processor (its INTR output). Any thread; cheap.
  virtual bool pic_pending() = 0;
  /// INTA cycle: the vector of that interrupt (a spurious one if it went away).
  virtual u8 pic_acknowledge() = 0;
};

class Vcpu {
 public:
  virtual ~Vcpu() = default;
  virtual unsigned id() const = 0;
  virtual Exit run() = 0;
  virtual void kick() = 0;
  virtual x86::CpuState state() = 0;
  virtual Result<> set_state(const x86::CpuState& state) = 0;
  /// What was counted so far; called as state() is.
  virtual Stats stats() { return {}; }
};

/// What a vCPU is made from. References outlive the vCPU.
struct VcpuSetup {
  unsigned id = 0;  ///< also the APIC id
  GuestMemory& memory;
  MachineIo& io;
  Clock& clock;
  LocalApic* apic = nullptr;        ///< software engines: required
  KvmParavirt* paravirt = nullptr;  ///< software engines: required
  x86::CpuidTable cpuid;
};

}  // namespace vireo::vm
