// The CPU model "Vireo x86-64-v3": what CPUID tells a guest, fixed by this file and cpuid_features.inc so that a
// machine can move between hosts. An AMD family 17h CPU with the x86-64-v3 instruction set, AES, SHA and PCLMUL, the
// kernel-facing features the engines implement, and KVM's paravirtual interface. Sources: SDM 2A CPUID, APM 3 appendix
// E, Linux Documentation/virt/kvm/x86/cpuid.rst.
#pragma once

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
};

/// Instructions executed by the host's own are announced only when this host has them; the rest is the same everywhere.
vm::x86::CpuidTable make_cpuid(const CpuidModelOptions& options);

}  // namespace vireo::cpu::x86
