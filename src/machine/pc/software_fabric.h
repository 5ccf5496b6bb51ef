// The interrupt fabric of software engines: our local APICs, on their bus, with KVM's paravirtual interface.
#pragma once

#include <deque>

#include "irq/lapic/lapic.h"
#include "irq/paravirt/paravirt.h"
#include "machine/pc/fabric.h"

namespace vireo::machine {

class SoftwareFabric final : public InterruptFabric {
 public:
  SoftwareFabric(vm::GuestMemory& memory, vm::Clock& clock, unsigned cpus, unsigned physical_address_bits);

  vm::MsiSink& msi() override { return bus_; }
  void set_eoi(std::function<void(u8 vector)> eoi) override { bus_.set_level_eoi(std::move(eoi)); }
  vm::LocalApic* local_apic(unsigned cpu) override { return &lapics_[cpu]; }
  vm::KvmParavirt* paravirt(unsigned cpu) override { return &paravirts_[cpu]; }
  void reset() override;

 private:
  irq::ApicBus bus_;
  std::deque<irq::Lapic> lapics_;
  std::deque<irq::Paravirt> paravirts_;
};

}  // namespace vireo::machine
