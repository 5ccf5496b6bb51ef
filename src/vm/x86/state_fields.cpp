#include "vm/x86/state_fields.h"

namespace vireo::vm::x86 {

void fields(Archive& ar, Segment& s) {
  auto& [selector, attributes, limit, base] = s;
  ar(selector, attributes, limit, base);
}

void fields(Archive& ar, DescriptorTable& t) {
  auto& [base, limit] = t;
  ar(base, limit);
}

void fields(Archive& ar, GeneralRegs& r) {
  auto& [gpr, rip, rflags] = r;
  ar(gpr, rip, rflags);
}

void fields(Archive& ar, SystemRegs& r) {
  auto& [segment, gdtr, idtr, cr0, cr2, cr3, cr4, xcr0, dr, dr6, dr7, pdpte, efer, star, lstar, cstar, sfmask,
         kernel_gs_base, tsc_aux, sysenter_cs, sysenter_esp, sysenter_eip, pat, misc_enable, mtrr_def_type, mtrr_fixed,
         mtrr_variable, tsc, tsc_adjust, xss] = r;
  ar(segment, gdtr, idtr, cr0, cr2, cr3, cr4, xcr0, dr, dr6, dr7, pdpte, efer, star, lstar, cstar, sfmask,
     kernel_gs_base, tsc_aux, sysenter_cs, sysenter_esp, sysenter_eip, pat, misc_enable, mtrr_def_type, mtrr_fixed,
     mtrr_variable, tsc, tsc_adjust, xss);
}

void fields(Archive& ar, FpuState& f) {
  auto& [fcw, fsw, ftw, fop, fip, fdp, fcs, fds, mxcsr, st, zmm, opmask] = f;
  ar(fcw, fsw, ftw, fop, fip, fdp, fcs, fds, mxcsr, st, zmm, opmask);
}

void fields(Archive& ar, EventState& e) {
  auto& [activity, interrupt_shadow, nmi_pending, nmi_blocked, pv_unhalt, pic_accepted, pic_vector] = e;
  ar(activity, interrupt_shadow, nmi_pending, nmi_blocked, pv_unhalt, pic_accepted, pic_vector);
  if (ar.loading() && activity > Activity::WaitForSipi) ar.reject();
}

void fields(Archive& ar, ApicState& a) {
  auto& [apic_base, tsc_deadline, regs, timer_remaining_ns] = a;
  ar(apic_base, tsc_deadline, regs, timer_remaining_ns);
}

void fields(Archive& ar, ParavirtState& p) {
  auto& [wall_clock, system_time, steal_time, pv_eoi, async_pf, poll_control, pv_eoi_pending, steal_ns] = p;
  ar(wall_clock, system_time, steal_time, pv_eoi, async_pf, poll_control, pv_eoi_pending, steal_ns);
}

void fields(Archive& ar, CpuState& c) {
  auto& [regs, sys, fpu, event, apic, paravirt] = c;
  ar(regs, sys, fpu, event, apic, paravirt);
}

}  // namespace vireo::vm::x86
