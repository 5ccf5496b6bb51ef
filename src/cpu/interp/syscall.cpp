// Fast system calls (SDM 2B SYSCALL, SYSRET, SYSENTER, SYSEXIT; APM 3 for what an AMD CPU, which CPUID announces, does
// otherwise).
#include "cpu/interp/debug.h"
#include "cpu/interp/far.h"
#include "cpu/interp/system.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// AMD CPUs know SYSENTER and SYSEXIT in legacy mode only; Intel's also in long mode.
constexpr bool kSysenterInLongMode = false;

constexpr unsigned kSyscallSelectorShift = 32, kSysretSelectorShift = 48;

u16 selector_field(u64 star, unsigned shift) { return static_cast<u16>(star >> shift); }

void enter_kernel(Cpu& cpu, u16 cs, bool to_code64, u64 ip) {
  cpu.sys.segment[SS] = flat_segment(static_cast<u16>(cs + 8), kFlatData, 0);
  enter_code(cpu, flat_segment(cs, to_code64 ? kFlatCode64 : kFlatCode32, 0), ip);
}

void leave_kernel(Cpu& cpu, u16 cs, u16 ss, bool to_code64, u64 ip) {
  cpu.sys.segment[SS] = flat_segment(ss | 3, kFlatData, 3);
  enter_code(cpu, flat_segment(cs | 3, to_code64 ? kFlatCode64 : kFlatCode32, 3), ip);
}

bool sysenter_available(const Cpu& cpu) { return kSysenterInLongMode || !cpu.long_mode(); }

}  // namespace

void syscall(Cpu& cpu, const Insn& insn) {
  if (!(cpu.sys.efer & efer::SCE) || unprotected(cpu)) cpu.undefined(insn);
  const u16 cs = selector_field(cpu.sys.star, kSyscallSelectorShift) & 0xFFFC;
  const bool stepped = cpu.rflags & rflags::TF;
  u64 target;
  if (cpu.long_mode()) {
    target = cpu.code64() ? cpu.sys.lstar : cpu.sys.cstar;
    cpu.r[RCX] = cpu.next_rip;
    cpu.r[R11] = cpu.rflags & ~rflags::RF;
    write_flags(cpu, 0, (cpu.sys.sfmask & rflags::kDefined) | rflags::RF);
  } else {
    target = static_cast<u32>(cpu.sys.star);
    cpu.r[RCX] = static_cast<u32>(cpu.next_rip);
    write_flags(cpu, 0, rflags::VM | rflags::IF | rflags::RF);
  }
  if (stepped && !(cpu.rflags & rflags::TF)) cpu.debug_pending |= kNoSingleStep;
  enter_kernel(cpu, cs, cpu.long_mode(), target);
}

void sysret(Cpu& cpu, const Insn& insn) {
  if (!(cpu.sys.efer & efer::SCE)) cpu.undefined(insn);
  if (unprotected(cpu) || cpu.cpl != 0) cpu.raise(Vector::GP, 0);
  const u16 base = selector_field(cpu.sys.star, kSysretSelectorShift);
  const bool to_code64 = insn.op_size == 8;
  // As on AMD, a RIP that is not canonical faults at the fetch, in user mode.
  const u64 target = to_code64 ? cpu.r[RCX] : static_cast<u32>(cpu.r[RCX]);
  const bool stepped = cpu.rflags & rflags::TF;
  if (cpu.long_mode()) {
    write_flags(cpu, cpu.r[R11], rflags::kDefined & ~(rflags::VM | rflags::RF));
  } else {
    write_flags(cpu, rflags::IF, rflags::IF);
  }
  // The step is decided by TF as it is afterwards, as for SYSCALL: the trap comes before the program's first
  // instruction.
  if (cpu.rflags & rflags::TF) {
    cpu.debug_pending |= dr6::BS;
  } else if (stepped) {
    cpu.debug_pending |= kNoSingleStep;
  }
  const u16 cs = static_cast<u16>(to_code64 ? base + 16 : base);
  leave_kernel(cpu, cs, static_cast<u16>(base + 8), to_code64, target);
}

void sysenter(Cpu& cpu, const Insn& insn) {
  if (!sysenter_available(cpu)) cpu.undefined(insn);
  const u16 cs = static_cast<u16>(cpu.sys.sysenter_cs) & 0xFFFC;
  if (!cpu.protected_mode() || cs == 0) cpu.raise(Vector::GP, 0);
  const bool wide = cpu.long_mode();
  cpu.r[RSP] = wide ? cpu.sys.sysenter_esp : static_cast<u32>(cpu.sys.sysenter_esp);
  write_flags(cpu, 0, rflags::VM | rflags::IF | rflags::RF);
  enter_kernel(cpu, cs, wide, wide ? cpu.sys.sysenter_eip : static_cast<u32>(cpu.sys.sysenter_eip));
}

void sysexit(Cpu& cpu, const Insn& insn) {
  if (!sysenter_available(cpu)) cpu.undefined(insn);
  const u16 base = static_cast<u16>(cpu.sys.sysenter_cs) & 0xFFFC;
  if (unprotected(cpu) || cpu.cpl != 0 || base == 0) cpu.raise(Vector::GP, 0);
  const bool to_code64 = insn.op_size == 8;
  const u64 target = to_code64 ? cpu.r[RDX] : static_cast<u32>(cpu.r[RDX]);
  const u64 sp = to_code64 ? cpu.r[RCX] : static_cast<u32>(cpu.r[RCX]);
  if (to_code64 && (!x86::is_canonical(target) || !x86::is_canonical(sp))) cpu.raise(Vector::GP, 0);
  cpu.r[RSP] = sp;
  const u16 cs = static_cast<u16>(to_code64 ? base + 32 : base + 16);
  leave_kernel(cpu, cs, static_cast<u16>(to_code64 ? base + 40 : base + 24), to_code64, target);
}

}  // namespace vireo::cpu::interp
