// Far JMP and CALL, call gates, and the INT instructions (SDM 2A JMP, CALL, INT n; SDM 3A 5.8).
#include "cpu/interp/far.h"

#include "cpu/interp/debug.h"
#include "cpu/interp/interrupt.h"
#include "cpu/interp/select.h"
#include "cpu/interp/task.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

Segment unprotected_code(Cpu& cpu, u16 selector, u64 offset) {
  const Segment cs = cpu.v86() ? v86_segment(selector) : real_segment(cpu.sys.segment[CS], selector);
  if (offset > cs.limit) cpu.raise(Vector::GP, 0);
  return cs;
}

namespace {

struct FarPointer {
  u16 selector;
  u64 offset;
};

u64 read_sized(Cpu& cpu, Seg seg, u64 offset, unsigned size) {
  switch (size) {
    case 2:
      return cpu.read<u16>(seg, offset);
    case 4:
      return cpu.read<u32>(seg, offset);
    default:
      return cpu.read<u64>(seg, offset);
  }
}

/// From memory, or packed into insn.imm by select_far: selector in bits 47..32, offset below.
FarPointer far_target(Cpu& cpu, const Insn& insn) {
  if (!insn.has_mem) return {.selector = static_cast<u16>(insn.imm >> 32), .offset = insn.imm & 0xFFFFFFFF};
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 at = cpu.effective_address(insn);
  const u64 offset = read_sized(cpu, seg, at, insn.op_size);
  return {.selector = cpu.read<u16>(seg, at + insn.op_size), .offset = offset};
}

/// Return address in `size`-byte pushes on the present stack. `sp` is set when everything else is done.
u64 push_return(Cpu& cpu, unsigned size) {
  u64 sp = cpu.stack_pointer();
  cpu.push(sp, size, cpu.sys.segment[CS].selector);
  cpu.push(sp, size, cpu.next_rip);
  return sp;
}

void check_direct_code(Cpu& cpu, u16 selector, const Descriptor& code) {
  const u32 error = selector_error(selector);
  if (cpu.long_mode() && code.l() && code.db()) cpu.raise(Vector::GP, error);
  if (code.is_conforming() ? code.dpl() > cpu.cpl : rpl_of(selector) > cpu.cpl || code.dpl() != cpu.cpl)
    cpu.raise(Vector::GP, error);
  if (!code.present()) cpu.raise(Vector::NP, error);
}

void check_task_access(Cpu& cpu, u16 selector, const Descriptor& descriptor) {
  if (descriptor.dpl() < cpu.cpl || descriptor.dpl() < rpl_of(selector))
    cpu.raise(Vector::GP, selector_error(selector));
  if (!descriptor.present()) cpu.raise(Vector::NP, selector_error(selector));
}

/// CALL through a gate to a more privileged level: new stack, parameters copied (SDM 3A 5.8.5).
void call_inner(Cpu& cpu, const Descriptor& gate, const Segment& cs, unsigned level, unsigned size, u64 offset) {
  constexpr unsigned kMostParameters = 31;
  const bool wide = size == 8;
  Segment ss;
  StackPointer from_tss;
  if (wide) {
    from_tss = {.ss = static_cast<u16>(level), .sp = tss_stack64(cpu, level, 0)};
    ss = null_segment(from_tss.ss, level);
  } else {
    from_tss = tss_stack(cpu, level, 0);
    ss = check_stack_segment(cpu, from_tss.ss, level, Vector::TS, 0);
  }
  u64 parameters[kMostParameters];
  const unsigned count = wide ? 0 : gate.gate_parameters();
  for (unsigned i = 0; i < count; ++i)
    parameters[i] = read_sized(cpu, SS, (cpu.stack_pointer() + i * size) & cpu.stack_mask, size);

  StackFrame frame(cpu, StackFrame::Inner, ss, from_tss.sp, wide, wide ? 0 : selector_error(from_tss.ss));
  frame.push(size, cpu.sys.segment[SS].selector);
  frame.push(size, cpu.r[RSP]);
  for (unsigned i = count; i-- > 0;) frame.push(size, parameters[i]);
  frame.push(size, cpu.sys.segment[CS].selector);
  frame.push(size, cpu.next_rip);

  cpu.sys.segment[SS] = ss;
  cpu.r[RSP] = frame.sp();
  enter_code(cpu, cs, offset);
}

void through_call_gate(Cpu& cpu, u16 selector, const Descriptor& gate, bool call) {
  const bool wide = cpu.long_mode();
  const unsigned size = wide ? 8 : (gate.type() & 8 ? 4 : 2);
  check_task_access(cpu, selector, gate);
  u64 offset = gate.gate_offset();
  if (size == 2) offset &= 0xFFFF;
  if (wide) {
    const auto upper = find_upper_half(cpu, selector, gate);
    if (!upper || bits(*upper, 40, 5) != 0) cpu.raise(Vector::GP, selector_error(selector));
    offset |= *upper << 32;
  }

  const u16 code_selector = gate.gate_selector();
  if (is_null(code_selector)) cpu.raise(Vector::GP, 0);
  Descriptor code = fetch_descriptor(cpu, code_selector, Vector::GP);
  const u32 error = selector_error(code_selector);
  if (!code.is_code() || code.dpl() > cpu.cpl) cpu.raise(Vector::GP, error);
  if (!call && !code.is_conforming() && code.dpl() != cpu.cpl) cpu.raise(Vector::GP, error);
  if (wide && (!code.l() || code.db())) cpu.raise(Vector::GP, error);
  if (!code.present()) cpu.raise(Vector::NP, error);

  const unsigned level = code.is_conforming() ? cpu.cpl : code.dpl();
  const Segment cs = make_code_segment(cpu, code_selector, code, level, offset);
  if (call && level < cpu.cpl) return call_inner(cpu, gate, cs, level, size, offset);
  if (call) {
    StackFrame frame(cpu, StackFrame::Same, cpu.sys.segment[SS], cpu.r[RSP], wide, 0);
    frame.push(size, cpu.sys.segment[CS].selector);
    frame.push(size, cpu.next_rip);
    cpu.r[RSP] = frame.sp();
  }
  enter_code(cpu, cs, offset);
}

void far_protected(Cpu& cpu, const FarPointer& target, unsigned size, bool call) {
  const u16 selector = target.selector;
  if (is_null(selector)) cpu.raise(Vector::GP, 0);
  Descriptor descriptor = fetch_descriptor(cpu, selector, Vector::GP);
  if (descriptor.is_code()) {
    check_direct_code(cpu, selector, descriptor);
    const Segment cs = make_code_segment(cpu, selector, descriptor, cpu.cpl, target.offset);
    if (call) cpu.set_stack_pointer(push_return(cpu, size));
    return enter_code(cpu, cs, target.offset);
  }
  const TaskSwitch kind = call ? TaskSwitch::Call : TaskSwitch::Jump;
  if (!descriptor.s()) {
    switch (descriptor.type()) {
      case descriptor::kCallGate16:
        if (cpu.long_mode()) break;
        [[fallthrough]];
      case descriptor::kCallGate32:
        return through_call_gate(cpu, selector, descriptor, call);
      case descriptor::kTaskGate: {
        if (cpu.long_mode()) break;
        check_task_access(cpu, selector, descriptor);
        const Descriptor tss = fetch_task_of_gate(cpu, descriptor, 0);
        return switch_task(cpu, descriptor.gate_selector(), tss, kind, cpu.next_rip, cpu.rflags, 0);
      }
      case descriptor::kTss16:
      case descriptor::kTss32:
        if (cpu.long_mode() || (selector & 4)) break;
        check_task_access(cpu, selector, descriptor);
        return switch_task(cpu, selector, descriptor, kind, cpu.next_rip, cpu.rflags, 0);
      default:
        break;
    }
  }
  cpu.raise(Vector::GP, selector_error(selector));
}

template <bool kCall>
void far_transfer(Cpu& cpu, const Insn& insn) {
  const FarPointer target = far_target(cpu, insn);
  if (!unprotected(cpu)) return far_protected(cpu, target, insn.op_size, kCall);
  const Segment cs = unprotected_code(cpu, target.selector, target.offset);
  if constexpr (kCall) cpu.set_stack_pointer(push_return(cpu, insn.op_size));
  enter_code(cpu, cs, target.offset);
}

/// An INT instruction enters a handler with TF clear: no step into it.
void software_event(Cpu& cpu, u8 vector, EventKind kind) {
  const bool stepped = cpu.rflags & rflags::TF;
  deliver_event(cpu, vector, kind, false, 0, cpu.next_rip);
  if (stepped) cpu.debug_pending |= kNoSingleStep;
}

void int_n(Cpu& cpu, const Insn& insn) {
  const u8 vector = static_cast<u8>(insn.imm);
  if (cpu.v86()) {
    if (is_redirected(cpu, vector)) {
      if (cpu.rflags & rflags::TF) cpu.debug_pending |= kNoSingleStep;
      return deliver_redirected(cpu, vector);
    }
    if (cpu.iopl() < 3) cpu.raise(Vector::GP, 0);
  }
  software_event(cpu, vector, EventKind::SoftwareInterrupt);
}

void int3(Cpu& cpu, const Insn&) { software_event(cpu, raw(Vector::BP), EventKind::SoftwareInterrupt); }

void into(Cpu& cpu, const Insn&) {
  if (cpu.rflags & rflags::OF) software_event(cpu, raw(Vector::OF), EventKind::SoftwareInterrupt);
}

/// INT1 (ICEBP) needs no privilege: it behaves like the hardware's own #DB, without touching DR6.
void int1(Cpu& cpu, const Insn&) { software_event(cpu, raw(Vector::DB), EventKind::Exception); }

/// By prefixes alone: 64-bit mode's default of 64 for near branches does not hold for far ones.
u8 operand_size(const DecodedInsn& decoded) {
  if (decoded.mode != CodeMode::Bits64) return static_cast<u8>(decoded.instruction.operand_width / 8);
  if (decoded.instruction.raw.rex.W) return 8;
  return decoded.instruction.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE ? 2 : 4;
}

}  // namespace

Handler select_far(Cpu&, const DecodedInsn& decoded, Insn& insn) {
  insn.op_size = operand_size(decoded);
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_CALL: {
      const ZydisDecodedOperand& target = decoded.operands[0];
      if (target.type == ZYDIS_OPERAND_TYPE_POINTER) {
        const u64 mask = insn.op_size == 2 ? 0xFFFF : 0xFFFFFFFF;
        insn.imm = (u64{target.ptr.segment} << 32) | (target.ptr.offset & mask);
      }
      return decoded.instruction.mnemonic == ZYDIS_MNEMONIC_JMP ? far_transfer<false> : far_transfer<true>;
    }
    case ZYDIS_MNEMONIC_RET:
      return far_return;
    case ZYDIS_MNEMONIC_INT:
      return int_n;
    case ZYDIS_MNEMONIC_INT3:
      return int3;
    case ZYDIS_MNEMONIC_INT1:
      return int1;
    case ZYDIS_MNEMONIC_INTO:
      return into;
    case ZYDIS_MNEMONIC_IRET:
      insn.op_size = 2;
      return interrupt_return;
    case ZYDIS_MNEMONIC_IRETD:
      insn.op_size = 4;
      return interrupt_return;
    case ZYDIS_MNEMONIC_IRETQ:
      insn.op_size = 8;
      return interrupt_return;
    case ZYDIS_MNEMONIC_SYSCALL:
      return syscall;
    case ZYDIS_MNEMONIC_SYSRET:
      insn.op_size = insn.rex_w ? 8 : 4;
      return sysret;
    case ZYDIS_MNEMONIC_SYSENTER:
      return sysenter;
    case ZYDIS_MNEMONIC_SYSEXIT:
      insn.op_size = insn.rex_w ? 8 : 4;
      return sysexit;
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
