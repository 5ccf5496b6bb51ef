// Where interrupts end: the part of the machine that depends on who has the local APICs. With a software engine they
// are ours (software_fabric.h); with KVM they are in the host kernel, and its engine brings its own fabric.
//
// Threads: everything may be called from any thread while the machine runs, with a device's lock held, and calls no
// device.
#pragma once

#include <functional>

#include "vm/device/device.h"
#include "vm/engine/local_apic.h"

namespace vireo::machine {

class InterruptFabric {
 public:
  virtual ~InterruptFabric() = default;

  /// Where the IOAPIC and devices send their messages.
  virtual vm::MsiSink& msi() = 0;
  /// The 8259 pair's INTR output changed; it is wired to LINT0 of the boot CPU.
  virtual void pic_output(bool level) = 0;
  /// An IOAPIC pin's redirection entry changed: what the pin would send, or masked. KVM needs it to report EOIs.
  virtual void ioapic_route(unsigned pin, bool masked, bool level_triggered, const vm::MsiMessage& message) = 0;
  /// An end of interrupt of a level-triggered vector is to be passed on to `eoi`. Set once, before the first vCPU.
  virtual void set_eoi(std::function<void(u8 vector)> eoi) = 0;

  /// The software LAPIC and paravirtual interface of a CPU, for VcpuSetup; nullptr when the engine has its own.
  virtual vm::LocalApic* local_apic(unsigned cpu) = 0;
  virtual vm::KvmParavirt* paravirt(unsigned cpu) = 0;
};

}  // namespace vireo::machine
