// A vCPU of a software engine with its local APIC and paravirtual interface.
#pragma once

#include "engines.h"
#include "irq/lapic/lapic.h"
#include "irq/paravirt/paravirt.h"

namespace vireo::test {

class SoftwareCpu {
 public:
  /// Makes the vCPU from what it is told.
  using Make = std::function<std::unique_ptr<vm::Vcpu>(const vm::VcpuSetup&)>;
  SoftwareCpu(TinyMachine& machine, irq::ApicBus& bus, unsigned id, unsigned cpus, const vm::x86::CpuidTable* limit,
              const Make& make);

  vm::Vcpu& vcpu() { return *vcpu_; }
  /// The 8259's INTR changed. (A sticky kick is what any thread may do.)
  void wake() { vcpu_->kick(); }

 private:
  std::unique_ptr<vm::Vcpu> vcpu_;  ///< goes last: the local APIC's timer wakes it
  irq::Lapic lapic_;
  irq::Paravirt paravirt_;
};

}  // namespace vireo::test
