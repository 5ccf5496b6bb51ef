// CPUID for a guest: a CPU model (cpu_models.h) as a table of leaves. Whatever the model, it is an AMD family 17h CPU
// with the kernel-facing features the engines implement, and KVM's paravirtual interface. Sources: SDM 2A CPUID, APM 3
// appendix E, Linux Documentation/virt/kvm/x86/cpuid.rst.
#pragma once

#include "cpu/x86/cpu_models.h"
#include "vm/x86/cpuid.h"

namespace vireo::cpu::x86 {

/// KVM_CPUID_FEATURES bits that irq/paravirt implements.
constexpr u32 kParavirtFeatures = (1u << 0) |   // CLOCKSOURCE
                                  (1u << 1) |   // NOP_IO_DELAY
                                  (1u << 3) |   // CLOCKSOURCE2
                                  (1u << 5) |   // STEAL_TIME
                                  (1u << 6) |   // PV_EOI
                                  (1u << 7) |   // PV_UNHALT
                                  (1u << 9) |   // PV_TLB_FLUSH
                                  (1u << 11) |  // PV_SEND_IPI
                                  (1u << 24);   // CLOCKSOURCE_STABLE

struct CpuidModelOptions {
  unsigned vcpu = 0;   ///< also the APIC id
  unsigned vcpus = 1;  ///< one socket of so many cores, one thread each
  /// A software engine: immune to what the host's CPU speculates. False for KVM on hardware.
  bool software = true;
  u32 paravirt_features = kParavirtFeatures;  ///< 0: no KVM leaves
  const CpuModel* model = nullptr;            ///< nullptr: the best one for this host
};

/// The table of one vCPU. Depends on the options alone.
vm::x86::CpuidTable make_cpuid(const CpuidModelOptions& options);

}  // namespace vireo::cpu::x86
