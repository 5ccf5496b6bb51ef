// Where interrupts end: the part of the machine that depends on who has the local APICs. With a software engine they
// are ours (software_fabric.h); with KVM they are in the host kernel, and its engine brings its own fabric.
//
// Threads: msi(), pic_output() and ioapic_route() are called from any thread while the machine runs, with a device's
// lock held, and call no device.
#pragma once

#include <functional>

#include "irq/ioapic/ioapic.h"
#include "vm/device/device.h"
#include "vm/engine/local_apic.h"

namespace vireo::machine {

class InterruptFabric {
 public:
  virtual ~InterruptFabric() = default;

  /// Where the I/O APIC and devices send their messages.
  virtual vm::MsiSink& msi() = 0;
  /// The 8259 pair's INTR changed: a hint for the boot CPU's engine to look at MachineIo::pic_pending. False: the
  /// machine kicks that CPU instead.
  virtual bool pic_output(bool /*level*/) { return false; }
  /// An I/O APIC pin's route changed; KVM must know whose ends of interrupt to report.
  virtual void ioapic_route(unsigned /*pin*/, const irq::IoApic::Route& /*route*/) {}
  /// Ends of level-triggered interrupts go to `eoi`, with no lock held. Set once, before the first vCPU is made.
  virtual void set_eoi(std::function<void(u8 vector)> eoi) = 0;

  /// The software LAPIC and paravirtual interface of a CPU, for VcpuSetup; nullptr when the engine has its own.
  virtual vm::LocalApic* local_apic(unsigned /*cpu*/) { return nullptr; }
  virtual vm::KvmParavirt* paravirt(unsigned /*cpu*/) { return nullptr; }

  /// Forgets interrupts on their way. The machine is being reset or restored: no vCPU runs; their states are set
  /// afterwards.
  virtual void reset() = 0;
};

}  // namespace vireo::machine
