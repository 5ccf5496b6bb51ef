#include "software_cpu.h"

#include "cpu/interp/interp.h"
#include "cpu/x86/cpuid_model.h"

namespace vireo::test {

SoftwareCpu::SoftwareCpu(TinyMachine& machine, irq::ApicBus& bus, unsigned id, unsigned cpus)
    : lapic_(bus, machine.clock(), {.id = id, .bootstrap_processor = id == 0}),
      paravirt_({.memory = machine.memory(), .clock = machine.clock(), .bus = bus, .lapic = lapic_}),
      vcpu_(cpu::interp::make_interpreter({.id = id,
                                           .memory = machine.memory(),
                                           .io = machine,
                                           .clock = machine.clock(),
                                           .apic = &lapic_,
                                           .paravirt = &paravirt_,
                                           .cpuid = cpu::x86::make_cpuid({.vcpu = id, .vcpus = cpus})})) {}

}  // namespace vireo::test
