// Far RET and IRET (SDM 2A RET, IRET; SDM 3B 20.2 for virtual-8086 mode and 20.3 for its extensions).
#include "cpu/interp/far.h"
#include "cpu/interp/system.h"
#include "cpu/interp/task.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// The code segment a return goes to; its RPL becomes the CPL.
Descriptor fetch_return_code(Cpu& cpu, u16 selector) {
  if (is_null(selector)) cpu.raise(Vector::GP, 0);
  const Descriptor code = fetch_descriptor(cpu, selector, Vector::GP);
  const u32 error = selector_error(selector);
  const unsigned rpl = rpl_of(selector);
  if (!code.is_code() || rpl < cpu.cpl || (cpu.long_mode() && code.l() && code.db())) cpu.raise(Vector::GP, error);
  if (code.is_conforming() ? code.dpl() > rpl : code.dpl() != rpl) cpu.raise(Vector::GP, error);
  if (!code.present()) cpu.raise(Vector::NP, error);
  return code;
}

/// SS of a return that pops it.
Segment check_return_stack(Cpu& cpu, u16 selector, unsigned cpl, bool to_code64) {
  if (is_null(selector) && to_code64 && cpl != 3 && rpl_of(selector) == cpl) return null_segment(selector, cpl);
  return check_stack_segment(cpu, selector, cpl, Vector::GP, 0);
}

struct Flags {
  u64 value = 0, mask = 0;
};

/// Everything popped and checked: takes effect.
void commit_return(Cpu& cpu, const Segment& cs, u64 ip, const Segment& ss, u64 sp, const Flags& flags) {
  const unsigned old_cpl = cpu.cpl;
  const unsigned cpl = rpl_of(cs.selector);
  cpu.sys.segment[SS] = ss;
  if (cpl > old_cpl) drop_inaccessible_segments(cpu, cpl);
  write_flags(cpu, flags.value, flags.mask);
  enter_code(cpu, cs, ip);
  cpu.set_stack_pointer(sp);
}

constexpr u64 kUserFlags = rflags::kStatus | rflags::TF | rflags::DF | rflags::NT;

/// What IRET of `size` bytes may change in protected mode.
u64 return_flags_mask(const Cpu& cpu, unsigned size) {
  u64 mask = kUserFlags;
  if (size != 2) mask |= rflags::RF | rflags::AC | rflags::ID;
  if (cpu.cpl <= cpu.iopl()) mask |= rflags::IF;
  if (cpu.cpl == 0) mask |= rflags::IOPL | (size != 2 ? rflags::VIF | rflags::VIP : 0);
  return mask;
}

void return_to_v86(Cpu& cpu, u64 sp, u64 ip, u16 cs, u64 flags) {
  const u64 new_sp = cpu.pop(sp, 4);
  u16 selector[kSegmentRegisters];
  for (const Seg seg : {SS, ES, DS, FS, GS}) selector[seg] = static_cast<u16>(cpu.pop(sp, 4));
  selector[CS] = cs;
  if (ip > 0xFFFF) cpu.raise(Vector::GP, 0);
  for (unsigned seg = 0; seg < kSegmentRegisters; ++seg) cpu.sys.segment[seg] = v86_segment(selector[seg]);
  cpu.r[RSP] = static_cast<u32>(new_sp);
  write_flags(cpu, flags, rflags::kDefined);
  enter_code(cpu, cpu.sys.segment[CS], ip);
}

/// IRET without a change of segmentation: real mode, and virtual-8086 mode, where IOPL guards IF.
void return_unprotected(Cpu& cpu, unsigned size) {
  const bool v86 = cpu.v86();
  const bool extended = v86 && cpu.iopl() < 3;
  if (extended && (size != 2 || !(cpu.sys.cr4 & cr4::VME))) cpu.raise(Vector::GP, 0);
  u64 sp = cpu.stack_pointer();
  const u64 ip = cpu.pop(sp, size);
  const u16 selector = static_cast<u16>(cpu.pop(sp, size));
  u64 flags = cpu.pop(sp, size);
  const Segment cs = unprotected_code(cpu, selector, ip);
  u64 mask = kUserFlags;
  if (size != 2) mask |= rflags::RF | rflags::AC | rflags::ID;
  if (extended) {
    // The program's IF is VIF (SDM 3B 20.3.3.4).
    if ((flags & rflags::TF) || ((flags & rflags::IF) && (cpu.rflags & rflags::VIP))) cpu.raise(Vector::GP, 0);
    flags = (flags & ~rflags::VIF) | (flags & rflags::IF ? rflags::VIF : 0);
    mask |= rflags::VIF;
  } else {
    mask |= rflags::IF | (v86 ? 0 : rflags::IOPL);
  }
  cpu.set_stack_pointer(sp);
  write_flags(cpu, flags, mask);
  enter_code(cpu, cs, ip);
}

}  // namespace

void far_return(Cpu& cpu, const Insn& insn) {
  const unsigned size = insn.op_size;
  const u64 release = insn.imm & 0xFFFF;
  u64 sp = cpu.stack_pointer();
  const u64 ip = cpu.pop(sp, size);
  const u16 selector = static_cast<u16>(cpu.pop(sp, size));
  if (unprotected(cpu)) {
    const Segment cs = unprotected_code(cpu, selector, ip);
    cpu.set_stack_pointer(sp + release);
    return enter_code(cpu, cs, ip);
  }
  Descriptor code = fetch_return_code(cpu, selector);
  const unsigned rpl = rpl_of(selector);
  if (rpl == cpu.cpl) {
    const Segment cs = make_code_segment(cpu, selector, code, rpl, ip);
    cpu.set_stack_pointer(sp + release);
    return enter_code(cpu, cs, ip);
  }
  sp = (sp + release) & cpu.stack_mask;
  const u64 new_sp = cpu.pop(sp, size);
  const u16 new_ss = static_cast<u16>(cpu.pop(sp, size));
  const Segment ss = check_return_stack(cpu, new_ss, rpl, cpu.long_mode() && code.l());
  const Segment cs = make_code_segment(cpu, selector, code, rpl, ip);
  commit_return(cpu, cs, ip, ss, new_sp + release, {});
}

void interrupt_return(Cpu& cpu, const Insn& insn) {
  const unsigned size = insn.op_size;
  if (unprotected(cpu)) {
    return_unprotected(cpu, size);
  } else if (cpu.rflags & rflags::NT) {
    if (cpu.long_mode()) cpu.raise(Vector::GP, 0);
    return return_from_task(cpu);
  } else {
    u64 sp = cpu.stack_pointer();
    const u64 ip = cpu.pop(sp, size);
    const u16 selector = static_cast<u16>(cpu.pop(sp, size));
    const u64 flags = cpu.pop(sp, size);
    if ((flags & rflags::VM) && size == 4 && cpu.cpl == 0 && !cpu.long_mode()) {
      return_to_v86(cpu, sp, ip, selector, flags);
    } else {
      const Flags change{.value = flags, .mask = return_flags_mask(cpu, size)};
      Descriptor code = fetch_return_code(cpu, selector);
      const unsigned rpl = rpl_of(selector);
      if (rpl == cpu.cpl && !cpu.code64()) {
        const Segment cs = make_code_segment(cpu, selector, code, rpl, ip);
        cpu.set_stack_pointer(sp);
        write_flags(cpu, change.value, change.mask);
        enter_code(cpu, cs, ip);
      } else {
        const u64 new_sp = cpu.pop(sp, size);
        const u16 new_ss = static_cast<u16>(cpu.pop(sp, size));
        const Segment ss = check_return_stack(cpu, new_ss, rpl, cpu.long_mode() && code.l());
        const Segment cs = make_code_segment(cpu, selector, code, rpl, ip);
        commit_return(cpu, cs, ip, ss, new_sp, change);
      }
    }
  }
  if (cpu.event.nmi_blocked) {
    cpu.event.nmi_blocked = false;
    cpu.recheck_interrupts();
  }
}

}  // namespace vireo::cpu::interp
