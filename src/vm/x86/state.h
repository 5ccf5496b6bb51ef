// The whole architectural state of one stopped vCPU: what every engine can take and give at an instruction boundary.
// It is what is saved to a file and what moves between engines; nothing in it depends on the engine or the host.
#pragma once

#include <array>

#include "vm/x86/regs.h"

namespace vireo::vm::x86 {

struct GeneralRegs {
  std::array<u64, 16> gpr{};
  u64 rip = 0;
  u64 rflags = rflags::Fixed1;
};

struct SystemRegs {
  std::array<Segment, kSegments> segment{};
  DescriptorTable gdtr, idtr;
  u64 cr0 = 0, cr2 = 0, cr3 = 0, cr4 = 0;
  u64 xcr0 = xcr0::X87;
  std::array<u64, 4> dr{};
  u64 dr6 = dr6::kFixed1, dr7 = dr7::kFixed1;
  /// PDPTE registers, loaded by MOV CR3 under PAE paging (SDM 3A 4.4.1).
  std::array<u64, 4> pdpte{};
  // MSRs
  u64 efer = 0, star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0, tsc_aux = 0;
  u64 sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  u64 pat = 0x0007040600070406;
  u64 misc_enable = 1;
  u64 mtrr_def_type = 0;
  std::array<u64, 11> mtrr_fixed{};     ///< FIX64K, FIX16K x2, FIX4K x8 in MSR order
  std::array<u64, 16> mtrr_variable{};  ///< PHYSBASE0, PHYSMASK0, PHYSBASE1, ...
  u64 tsc = 0;                          ///< value of the time-stamp counter at the moment the vCPU was stopped
  u64 tsc_adjust = 0;
  u64 xss = 0;
};

/// x87, SSE and vector state, one register after the other (not an XSAVE image: cpu/x86/xsave.h makes those).
struct FpuState {
  u16 fcw = 0x37F, fsw = 0;
  u8 ftw = 0;  ///< abridged as in FXSAVE: bit i set when physical register i is not empty
  u16 fop = 0;
  u64 fip = 0, fdp = 0;  ///< 64-bit forms
  u16 fcs = 0, fds = 0;
  u32 mxcsr = 0x1F80;
  alignas(16) std::array<std::array<u8, 16>, 8> st{};    ///< ST(0)..ST(7), 10 bytes used each
  alignas(64) std::array<std::array<u8, 64>, 32> zmm{};  ///< XMM in bytes 0..15, YMM in 0..31
  std::array<u64, 8> opmask{};
};

/// What the vCPU is doing between instructions.
enum class Activity : u8 { Running, Halted, WaitForSipi };

struct EventState {
  Activity activity = Activity::Running;
  bool interrupt_shadow = false;  ///< after STI or MOV SS, until the next instruction ends
  bool nmi_pending = false;
  bool nmi_blocked = false;  ///< until IRET
  bool pv_unhalt = false;    ///< a KICK_CPU hypercall came while not halted
  /// An interrupt of the 8259 that was acknowledged (RFLAGS.IF was 1) comes before the next instruction, and its
  /// vector.
  bool pic_accepted = false;
  u8 pic_vector = 0;
};

/// The local APIC as its register page (SDM 3A table 10-1), as in KVM_GET_LAPIC, and what is not in the page.
struct ApicState {
  u64 apic_base = 0;     ///< IA32_APIC_BASE
  u64 tsc_deadline = 0;  ///< IA32_TSC_DEADLINE, 0 when disarmed
  std::array<u32, 64>
      regs{};  ///< register at byte offset 16*i is regs[i]; in x2APIC mode regs[0x31] is ICR bits 63..32
  u64 timer_remaining_ns = 0;  ///< until current count reaches 0 (one-shot and periodic), 0 when stopped
};

/// KVM's paravirtual registers (Linux Documentation/virt/kvm/x86/msr.rst).
struct ParavirtState {
  u64 wall_clock = 0, system_time = 0, steal_time = 0, pv_eoi = 0, async_pf = 0, poll_control = 1;
  bool pv_eoi_pending = false;
  u64 steal_ns = 0;
};

struct CpuState {
  GeneralRegs regs;
  SystemRegs sys;
  FpuState fpu;
  EventState event;
  ApicState apic;
  ParavirtState paravirt;
};

/// Processor state after RESET (SDM 3A table 9-1): real mode, CS:IP F000:FFF0.
CpuState reset_state(bool bootstrap_processor, u32 apic_id);
/// After INIT: as reset, but TSC, MTRR, PAT, XCR0, FPU, paravirtual and most other MSRs are kept.
void apply_init(CpuState& state);
/// After SIPI with `vector`: CS = vector << 8, IP = 0, running.
void apply_sipi(CpuState& state, u8 vector);

}  // namespace vireo::vm::x86
