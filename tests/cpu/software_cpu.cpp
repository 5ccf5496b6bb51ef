#include "software_cpu.h"

#include "cpu/kvm/cpuid.h"
#include "cpu/x86/cpuid_model.h"

namespace vireo::test {
namespace {

vm::x86::CpuidTable make_table(unsigned id, unsigned cpus, const vm::x86::CpuidTable* limit) {
  auto table = cpu::x86::make_cpuid({.vcpu = id, .vcpus = cpus});
  return limit == nullptr ? table : cpu::kvm::intersect(table, *limit);
}

}  // namespace

SoftwareCpu::SoftwareCpu(TinyMachine& machine, irq::ApicBus& bus, unsigned id, unsigned cpus,
                         const vm::x86::CpuidTable* limit, const Make& make)
    : lapic_(bus, machine.clock(), {.id = id, .bootstrap_processor = id == 0}),
      paravirt_({.memory = machine.memory(), .clock = machine.clock(), .bus = bus, .lapic = lapic_}) {
  vcpu_ = make({.id = id,
                .memory = machine.memory(),
                .io = machine,
                .clock = machine.clock(),
                .apic = &lapic_,
                .paravirt = &paravirt_,
                .cpuid = make_table(id, cpus, limit)});
}

}  // namespace vireo::test
