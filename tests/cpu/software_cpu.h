// An interpreter vCPU with its local APIC and paravirtual interface.
#pragma once

#include "engines.h"
#include "irq/lapic/lapic.h"
#include "irq/paravirt/paravirt.h"

namespace vireo::test {

class SoftwareCpu {
 public:
  SoftwareCpu(TinyMachine& machine, irq::ApicBus& bus, unsigned id, unsigned cpus,
              const vm::x86::CpuidTable* limit = nullptr);

  vm::Vcpu& vcpu() { return *vcpu_; }
  /// The 8259's INTR changed. (A sticky kick is what any thread may do.)
  void wake() { vcpu_->kick(); }

 private:
  irq::Lapic lapic_;
  irq::Paravirt paravirt_;
  std::unique_ptr<vm::Vcpu> vcpu_;
};

}  // namespace vireo::test
