// The kernel's structures to and from vm/x86/state.h. No system calls.
#pragma once

#include <linux/kvm.h>

#include <vector>

#include "vm/x86/state.h"

namespace vireo::cpu::kvm {

vm::x86::Segment from_kvm(const kvm_segment& segment);
kvm_segment to_kvm(const vm::x86::Segment& segment);

void from_kvm(const kvm_regs& regs, vm::x86::GeneralRegs& to);
kvm_regs to_kvm(const vm::x86::GeneralRegs& regs);

/// Segments, tables, control registers, EFER; PDPTEs when they are marked valid. The APIC's part: CR8 and base.
void from_kvm(const kvm_sregs2& sregs, vm::x86::CpuState& to);
kvm_sregs2 to_kvm(const vm::x86::CpuState& state);
/// The older form has no PDPTEs (the kernel loads them from memory), and a bitmap that is left 0.
kvm_sregs to_sregs1(const kvm_sregs2& sregs);
kvm_sregs2 from_sregs1(const kvm_sregs& sregs);

/// Debug registers.
void from_kvm(const kvm_debugregs& regs, vm::x86::SystemRegs& to);
kvm_debugregs to_kvm_debug(const vm::x86::SystemRegs& regs);

/// The register page. The kernel counts timers in ns (its APIC bus runs at 1 GHz).
void from_kvm(const kvm_lapic_state& page, vm::x86::ApicState& to);
kvm_lapic_state to_kvm(const vm::x86::ApicState& apic, unsigned id);

/// LVT timer bits 18:17 (SDM 3A figure 11-8).
enum class TimerMode : u8 { OneShot, Periodic, TscDeadline, Reserved };
TimerMode timer_mode(const vm::x86::ApicState& apic);

/// An interrupt that the kernel had accepted from the APIC, but not yet delivered, goes back: ISR to IRR. False: it is
/// not the APIC's, but the 8259's.
bool unaccept(vm::x86::ApicState& apic, u8 vector);
/// EOI of the highest vector in service.
void end_of_interrupt(vm::x86::ApicState& apic);

/// An MSR of the state, and when it is written back.
struct Msr {
  u32 index;
  u64* value;
  bool instruction;  ///< an instruction that was handed over may have changed it
};
/// Every MSR that the kernel keeps, with its place in `state`: in the order in which they must be set.
std::vector<Msr> msrs_of(vm::x86::CpuState& state);

}  // namespace vireo::cpu::kvm
