#include "cpu/kvm/convert.h"

#include <bit>
#include <cstring>

#include "vm/x86/msr.h"

namespace vireo::cpu::kvm {

using namespace vm::x86;

namespace {

constexpr unsigned kId = 0x2, kTpr = 0x8, kIsr = 0x10, kIrr = 0x20, kLvtTimer = 0x32, kInitialCount = 0x38,
                   kCurrentCount = 0x39, kDivide = 0x3E, kTmr = 0x18;
static_assert(kTmr < kIrr);

/// Input clocks per count (SDM 3A figure 11-10).
unsigned divisor(u32 configuration) {
  const unsigned code = (configuration & 3) | ((configuration >> 1) & 4);
  return code == 7 ? 1 : 2u << code;
}

/// Index of the register that holds the highest vector set in ISR or IRR, and its bit; false when none is.
bool highest(const ApicState& apic, unsigned first, u8& vector) {
  for (unsigned word = 8; word-- > 0;) {
    if (const u32 value = apic.regs[first + word]) {
      vector = static_cast<u8>(word * 32 + 31 - static_cast<unsigned>(std::countl_zero(value)));
      return true;
    }
  }
  return false;
}

}  // namespace

Segment from_kvm(const kvm_segment& s) {
  Segment to{.selector = s.selector, .attributes = 0, .limit = s.limit, .base = s.base};
  to.attributes = (s.type & 15u) | (s.s & 1u) << 4 | (s.dpl & 3u) << 5 | (s.present & 1u) << 7 | (s.avl & 1u) << 12 |
                  (s.l & 1u) << 13 | (s.db & 1u) << 14 | (s.g & 1u) << 15;
  if (s.unusable != 0) to.attributes |= Segment::kUnusable;
  return to;
}

kvm_segment to_kvm(const Segment& s) {
  kvm_segment to{};
  to.base = s.base;
  to.limit = s.limit;
  to.selector = s.selector;
  to.type = static_cast<u8>(s.type());
  to.present = s.present() && !s.unusable();
  to.dpl = static_cast<u8>(s.dpl());
  to.db = s.db();
  to.s = s.s();
  to.l = s.l();
  to.g = s.g();
  to.avl = (s.attributes >> 12) & 1;
  to.unusable = s.unusable();
  return to;
}

void from_kvm(const kvm_regs& regs, GeneralRegs& to) {
  to.gpr = {regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi,
            regs.r8,  regs.r9,  regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15};
  to.rip = regs.rip;
  to.rflags = regs.rflags;
}

kvm_regs to_kvm(const GeneralRegs& regs) {
  const auto& g = regs.gpr;
  return {.rax = g[RAX],
          .rbx = g[RBX],
          .rcx = g[RCX],
          .rdx = g[RDX],
          .rsi = g[RSI],
          .rdi = g[RDI],
          .rsp = g[RSP],
          .rbp = g[RBP],
          .r8 = g[R8],
          .r9 = g[R9],
          .r10 = g[R10],
          .r11 = g[R11],
          .r12 = g[R12],
          .r13 = g[R13],
          .r14 = g[R14],
          .r15 = g[R15],
          .rip = regs.rip,
          .rflags = regs.rflags};
}

void from_kvm(const kvm_sregs2& s, CpuState& to) {
  auto& sys = to.sys;
  sys.segment[CS] = from_kvm(s.cs);
  sys.segment[DS] = from_kvm(s.ds);
  sys.segment[ES] = from_kvm(s.es);
  sys.segment[FS] = from_kvm(s.fs);
  sys.segment[GS] = from_kvm(s.gs);
  sys.segment[SS] = from_kvm(s.ss);
  sys.segment[TR] = from_kvm(s.tr);
  sys.segment[LDTR] = from_kvm(s.ldt);
  sys.gdtr = {.base = s.gdt.base, .limit = s.gdt.limit};
  sys.idtr = {.base = s.idt.base, .limit = s.idt.limit};
  sys.cr0 = s.cr0;
  sys.cr2 = s.cr2;
  sys.cr3 = s.cr3;
  sys.cr4 = s.cr4;
  sys.efer = s.efer;
  to.apic.apic_base = s.apic_base;
  if ((s.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0) std::memcpy(sys.pdpte.data(), s.pdptrs, sizeof(s.pdptrs));
}

kvm_sregs2 to_kvm(const CpuState& state) {
  const auto& sys = state.sys;
  kvm_sregs2 s{};
  s.cs = to_kvm(sys.segment[CS]);
  s.ds = to_kvm(sys.segment[DS]);
  s.es = to_kvm(sys.segment[ES]);
  s.fs = to_kvm(sys.segment[FS]);
  s.gs = to_kvm(sys.segment[GS]);
  s.ss = to_kvm(sys.segment[SS]);
  s.tr = to_kvm(sys.segment[TR]);
  s.ldt = to_kvm(sys.segment[LDTR]);
  s.gdt.base = sys.gdtr.base;
  s.gdt.limit = sys.gdtr.limit;
  s.idt.base = sys.idtr.base;
  s.idt.limit = sys.idtr.limit;
  s.cr0 = sys.cr0;
  s.cr2 = sys.cr2;
  s.cr3 = sys.cr3;
  s.cr4 = sys.cr4;
  s.cr8 = state.apic.regs[kTpr] >> 4 & 15;
  s.efer = sys.efer;
  s.apic_base = state.apic.apic_base;
  const bool pae_paging = (sys.cr0 & cr0::PG) != 0 && (sys.cr4 & cr4::PAE) != 0 && (sys.efer & efer::LMA) == 0;
  if (pae_paging) {
    s.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
    std::memcpy(s.pdptrs, sys.pdpte.data(), sizeof(s.pdptrs));
  }
  return s;
}

kvm_sregs to_sregs1(const kvm_sregs2& s) {
  kvm_sregs to{};
  to.cs = s.cs, to.ds = s.ds, to.es = s.es, to.fs = s.fs, to.gs = s.gs, to.ss = s.ss, to.tr = s.tr, to.ldt = s.ldt;
  to.gdt = s.gdt, to.idt = s.idt;
  to.cr0 = s.cr0, to.cr2 = s.cr2, to.cr3 = s.cr3, to.cr4 = s.cr4, to.cr8 = s.cr8;
  to.efer = s.efer, to.apic_base = s.apic_base;
  return to;
}

kvm_sregs2 from_sregs1(const kvm_sregs& s) {
  kvm_sregs2 to{};
  to.cs = s.cs, to.ds = s.ds, to.es = s.es, to.fs = s.fs, to.gs = s.gs, to.ss = s.ss, to.tr = s.tr, to.ldt = s.ldt;
  to.gdt = s.gdt, to.idt = s.idt;
  to.cr0 = s.cr0, to.cr2 = s.cr2, to.cr3 = s.cr3, to.cr4 = s.cr4, to.cr8 = s.cr8;
  to.efer = s.efer, to.apic_base = s.apic_base;
  return to;
}

void from_kvm(const kvm_debugregs& regs, SystemRegs& to) {
  std::memcpy(to.dr.data(), regs.db, sizeof(regs.db));
  to.dr6 = regs.dr6;
  to.dr7 = regs.dr7;
}

kvm_debugregs to_kvm_debug(const SystemRegs& regs) {
  kvm_debugregs to{};
  std::memcpy(to.db, regs.dr.data(), sizeof(to.db));
  to.dr6 = regs.dr6;
  to.dr7 = regs.dr7;
  return to;
}

void from_kvm(const kvm_lapic_state& page, ApicState& to) {
  for (unsigned i = 0; i < to.regs.size(); ++i) std::memcpy(&to.regs[i], page.regs + i * 16, sizeof(u32));
  to.timer_remaining_ns =
      timer_mode(to) == TimerMode::TscDeadline ? 0 : u64{to.regs[kCurrentCount]} * divisor(to.regs[kDivide]);
}

kvm_lapic_state to_kvm(const ApicState& apic, unsigned id) {
  kvm_lapic_state page{};
  auto regs = apic.regs;
  regs[kId] = id << 24;  // the kernel's form in both modes, as long as 32-bit ids are not asked for
  // The kernel starts a one-shot timer whose count has run out once more, and it fires at once: with no initial count
  // it stays quiet.
  if (timer_mode(apic) == TimerMode::OneShot && apic.timer_remaining_ns == 0) regs[kInitialCount] = 0;
  const u64 count = (apic.timer_remaining_ns + divisor(regs[kDivide]) - 1) / divisor(regs[kDivide]);
  regs[kCurrentCount] = static_cast<u32>(std::min<u64>(count, regs[kInitialCount]));
  for (unsigned i = 0; i < regs.size(); ++i) std::memcpy(page.regs + i * 16, &regs[i], sizeof(u32));
  return page;
}

TimerMode timer_mode(const ApicState& apic) { return static_cast<TimerMode>(apic.regs[kLvtTimer] >> 17 & 3); }

bool unaccept(ApicState& apic, u8 vector) {
  u8 in_service = 0;
  if (!highest(apic, kIsr, in_service) || in_service != vector) return false;
  apic.regs[kIsr + vector / 32u] &= ~(1u << (vector & 31));
  apic.regs[kIrr + vector / 32u] |= 1u << (vector & 31);
  return true;
}

void end_of_interrupt(ApicState& apic) {
  u8 vector = 0;
  if (highest(apic, kIsr, vector)) apic.regs[kIsr + vector / 32u] &= ~(1u << (vector & 31));
}

std::vector<Msr> msrs_of(CpuState& state) {
  auto& sys = state.sys;
  auto& paravirt = state.paravirt;
  std::vector<Msr> list = {
      {msr::STAR, &sys.star, true},
      {msr::LSTAR, &sys.lstar, true},
      {msr::CSTAR, &sys.cstar, true},
      {msr::SFMASK, &sys.sfmask, true},
      {msr::KERNEL_GS_BASE, &sys.kernel_gs_base, true},
      {msr::TSC_AUX, &sys.tsc_aux, true},
      {msr::IA32_SYSENTER_CS, &sys.sysenter_cs, true},
      {msr::IA32_SYSENTER_ESP, &sys.sysenter_esp, true},
      {msr::IA32_SYSENTER_EIP, &sys.sysenter_eip, true},
      {msr::IA32_PAT, &sys.pat, true},
      {msr::IA32_MISC_ENABLE, &sys.misc_enable, true},
      {msr::IA32_XSS, &sys.xss, true},
      {msr::IA32_TSC_ADJUST, &sys.tsc_adjust, false},
      {msr::KVM_WALL_CLOCK_NEW, &paravirt.wall_clock, false},
      {msr::KVM_SYSTEM_TIME_NEW, &paravirt.system_time, false},
      {msr::KVM_STEAL_TIME, &paravirt.steal_time, false},
      {msr::KVM_PV_EOI_EN, &paravirt.pv_eoi, false},
      {msr::KVM_ASYNC_PF_EN, &paravirt.async_pf, false},
      {msr::KVM_POLL_CONTROL, &paravirt.poll_control, false},
      {msr::IA32_MTRR_DEF_TYPE, &sys.mtrr_def_type, true},
      {msr::IA32_MTRR_FIX64K_00000, &sys.mtrr_fixed[0], true},
      {msr::IA32_MTRR_FIX16K_80000, &sys.mtrr_fixed[1], true},
      {msr::IA32_MTRR_FIX16K_A0000, &sys.mtrr_fixed[2], true},
  };
  for (u32 i = 0; i < 8; ++i) list.push_back({msr::IA32_MTRR_FIX4K_C0000 + i, &sys.mtrr_fixed[3 + i], true});
  for (u32 i = 0; i < 16; ++i) list.push_back({msr::IA32_MTRR_PHYSBASE0 + i, &sys.mtrr_variable[i], true});
  // Last: arming it compares with the TSC, and needs the timer's mode.
  list.push_back({msr::IA32_TSC_DEADLINE, &state.apic.tsc_deadline, false});
  return list;
}

}  // namespace vireo::cpu::kvm
