// The PC: memory, CPUs and chips put together. Composition only; what each part does is in its own folder.
//
// Life: create() opens the kernel files and builds everything; boot() resets the machine, loads kernel and tables and
// sets every vCPU's state; the owner then runs the vCPUs on threads of their own. A guest's reset or power-off arrives
// at Host::power; the owner stops the vCPUs and calls boot() again, or ends. To restore, create() and then load the
// saved state into stateful(), memory() and vcpus() instead of boot().
//
// Threads: boot(), stateful() and the destructor only while no vCPU runs and the event loop fires no timer;
// press_power_button any time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "machine/pc/fabric.h"
#include "machine/spec/spec.h"
#include "vm/device/device.h"
#include "vm/engine/engine.h"

namespace vireo::machine {

/// What the machine stands on. References outlive it.
struct PcHost {
  vm::Clock& clock;
  vm::PowerControl& power;
  /// The engine. Called once a CPU, by create().
  std::function<Result<std::unique_ptr<vm::Vcpu>>(vm::VcpuSetup)> make_vcpu;
  /// What CPUID tells on this CPU (cpu/x86/cpuid_model).
  std::function<vm::x86::CpuidTable(unsigned cpu)> cpuid;
  /// An engine with its own local APICs brings them here; empty: software LAPICs. Called once, before the first
  /// make_vcpu.
  std::function<Result<std::unique_ptr<InterruptFabric>>(vm::GuestMemory&)> make_fabric;
};

class Pc {
 public:
  /// Errors: Usage for a spec that cannot be, NotFound and Denied for kernel files, Failed for the host's refusals.
  static Result<std::unique_ptr<Pc>> create(const Spec& spec, PcHost host);
  virtual ~Pc() = default;

  virtual const Spec& spec() const = 0;
  virtual vm::GuestMemory& memory() = 0;
  virtual vm::MachineIo& io() = 0;
  /// By APIC id.
  virtual std::span<const std::unique_ptr<vm::Vcpu>> vcpus() = 0;
  /// Every model but CPUs and memory, in a fixed order; names are unique.
  virtual std::span<vm::Stateful* const> stateful() = 0;

  /// Power-on or reset. Errors: Usage (see boot/kernel), Failed. After an error the machine must not be run.
  virtual Result<> boot() = 0;
  virtual void press_power_button() = 0;
};

}  // namespace vireo::machine
