// Event delivery (SDM 3A 6.12 to 6.14, SDM 2A INT n; SDM 3B 20.1.4 for real mode, 20.3 for virtual-8086 mode).
//
// Order in every mode: read and check the gate, the code segment and the stack; push; commit. A fault on the way raises
// and leaves the CPU as it was, but for memory below the stack pointer; the run loop combines it with the event (table
// 6-5).
#include "cpu/interp/interrupt.h"

#include "cpu/interp/debug.h"
#include "cpu/interp/task.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr unsigned kIdtFlag = 2;  ///< error code: the index is a vector

struct Event {
  u8 vector;
  EventKind kind;
  bool has_error;
  u32 error;
  u64 rip, flags;  ///< as pushed
  u32 ext;         ///< EXT bit of error codes raised on the way
};

/// Fault-class exceptions push RF = 1, so that an instruction breakpoint does not strike twice (SDM 3B 17.3.1.1).
bool is_fault(u8 vector) {
  switch (static_cast<Vector>(vector)) {
    case Vector::DB:
    case Vector::NMI:
    case Vector::BP:
    case Vector::OF:
    case Vector::DF:
    case Vector::MC:
      return false;
    default:
      return true;
  }
}

void deliver_real(Cpu& cpu, const Event& event) {
  const u64 at = u64{event.vector} * 4;
  if (at + 3 > cpu.sys.idtr.limit) cpu.raise(Vector::GP, event.vector * 8u + kIdtFlag + event.ext);
  const u64 entry = cpu.read_system(cpu.sys.idtr.base + at, 4);
  const u64 ip = entry & 0xFFFF;
  if (ip > cpu.sys.segment[CS].limit) cpu.raise(Vector::GP, 0);
  u64 sp = cpu.stack_pointer();
  cpu.push(sp, 2, event.flags);
  cpu.push(sp, 2, cpu.sys.segment[CS].selector);
  cpu.push(sp, 2, event.rip);
  cpu.set_stack_pointer(sp);
  cpu.rflags &= ~(rflags::IF | rflags::TF | rflags::AC | rflags::RF);
  enter_code(cpu, real_segment(cpu.sys.segment[CS], static_cast<u16>(entry >> 16)), ip);
}

Descriptor fetch_gate(Cpu& cpu, const Event& event) {
  const u64 size = cpu.long_mode() ? 16 : 8;
  const u64 at = event.vector * size;
  const u32 error = event.vector * 8u + kIdtFlag + event.ext;
  if (at + size - 1 > cpu.sys.idtr.limit) cpu.raise(Vector::GP, error);
  const Descriptor gate{.raw = cpu.read_system(cpu.sys.idtr.base + at, 8), .address = cpu.sys.idtr.base + at};
  bool known = false;
  switch (gate.type()) {
    case descriptor::kInterruptGate32:
    case descriptor::kTrapGate32:
      known = true;
      break;
    case descriptor::kInterruptGate16:
    case descriptor::kTrapGate16:
    case descriptor::kTaskGate:
      known = !cpu.long_mode();
      break;
    default:
      break;
  }
  if (!known || gate.s()) cpu.raise(Vector::GP, error);
  if (event.kind == EventKind::SoftwareInterrupt && gate.dpl() < cpu.cpl) cpu.raise(Vector::GP, error);
  if (!gate.present()) cpu.raise(Vector::NP, error);
  return gate;
}

void deliver_by_task(Cpu& cpu, const Event& event, const Descriptor& gate) {
  const Descriptor tss = fetch_task_of_gate(cpu, gate, event.ext);
  switch_task(cpu, gate.gate_selector(), tss, TaskSwitch::Interrupt, event.rip, event.flags, event.ext);
  if (!event.has_error) return;
  // The new task is in place: a fault here is its own.
  StackFrame frame(cpu, StackFrame::Same, cpu.sys.segment[SS], cpu.r[RSP], false, event.ext);
  frame.push(is_wide_tss(tss.type()) ? 4 : 2, event.error);
  cpu.r[RSP] = frame.sp();
}

/// The handler's code segment. `level` becomes the CPL it runs at.
Descriptor fetch_handler_code(Cpu& cpu, const Event& event, u16 selector, unsigned& level) {
  if (is_null(selector)) cpu.raise(Vector::GP, event.ext);
  const Descriptor code = fetch_descriptor(cpu, selector, Vector::GP, event.ext);
  const u32 error = selector_error(selector, event.ext);
  if (!code.is_code() || code.dpl() > cpu.cpl) cpu.raise(Vector::GP, error);
  if (cpu.long_mode() && (!code.l() || code.db())) cpu.raise(Vector::GP, error);
  if (!code.present()) cpu.raise(Vector::NP, error);
  level = code.is_conforming() ? cpu.cpl : code.dpl();
  if (cpu.v86() && level != 0) cpu.raise(Vector::GP, error);
  return code;
}

void deliver_protected(Cpu& cpu, const Event& event) {
  const Descriptor gate = fetch_gate(cpu, event);
  if (gate.type() == descriptor::kTaskGate) return deliver_by_task(cpu, event, gate);

  const bool wide = cpu.long_mode();
  const unsigned size = wide ? 8 : (gate.type() & 8 ? 4 : 2);
  const bool interrupt_gate = !(gate.type() & 1);
  u64 offset = gate.gate_offset();
  if (wide) offset |= cpu.read_system(gate.address + 8, 4) << 32;
  if (size == 2) offset &= 0xFFFF;

  unsigned level = 0;
  Descriptor code = fetch_handler_code(cpu, event, gate.gate_selector(), level);
  const bool inner = level < cpu.cpl;
  const bool v86 = cpu.v86();

  Segment ss = cpu.sys.segment[SS];
  u64 sp = cpu.r[RSP];
  u32 stack_error = event.ext;
  if (wide) {
    if (gate.gate_ist() != 0) {
      sp = tss_stack64(cpu, 3 + gate.gate_ist(), event.ext);
    } else if (inner) {
      sp = tss_stack64(cpu, level, event.ext);
    }
    sp &= ~u64{15};
    if (inner) ss = null_segment(static_cast<u16>(level), level);
  } else if (inner) {
    const StackPointer from_tss = tss_stack(cpu, level, event.ext);
    ss = check_stack_segment(cpu, from_tss.ss, level, Vector::TS, event.ext);
    sp = from_tss.sp;
    stack_error = selector_error(from_tss.ss, event.ext);
  }
  const Segment cs = make_code_segment(cpu, gate.gate_selector(), code, level, offset, event.ext);

  const auto& old = cpu.sys.segment;
  StackFrame frame(cpu, inner ? StackFrame::Inner : StackFrame::Same, ss, sp, wide, stack_error);
  if (v86) {
    for (const Seg seg : {GS, FS, DS, ES}) frame.push(size, old[seg].selector);
  }
  if (inner || wide) {
    frame.push(size, old[SS].selector);
    frame.push(size, cpu.r[RSP]);
  }
  frame.push(size, event.flags);
  frame.push(size, old[CS].selector);
  frame.push(size, event.rip);
  if (event.has_error) frame.push(size, event.error);

  if (v86) {
    for (const Seg seg : {GS, FS, DS, ES}) cpu.sys.segment[seg] = null_segment(0);
  }
  cpu.sys.segment[SS] = ss;
  cpu.r[RSP] = frame.sp();
  cpu.rflags &= ~(rflags::TF | rflags::NT | rflags::VM | rflags::RF | (interrupt_gate ? rflags::IF : 0));
  enter_code(cpu, cs, offset);
}

}  // namespace

void deliver_event(Cpu& cpu, u8 vector, EventKind kind, bool has_error, u32 error, u64 return_rip) {
  Event event{.vector = vector,
              .kind = kind,
              .has_error = has_error,
              .error = error,
              .rip = return_rip,
              .flags = cpu.rflags,
              .ext = kind == EventKind::SoftwareInterrupt ? 0u : 1u};
  if (kind == EventKind::Exception && is_fault(vector)) {
    event.flags |= rflags::RF;
    cpu.debug_pending = 0;  // the instruction did not complete: what it touched will be touched again
  }
  if (kind == EventKind::Nmi) cpu.event.nmi_blocked = true;
  const bool debug = vector == raw(Vector::DB) && kind == EventKind::Exception;
  if (debug) {  // INT1: what a MOV SS before it held back is reported along with it
    cpu.sys.dr6 |= cpu.debug_pending & ~kNoSingleStep;
    cpu.debug_pending = 0;
  }

  if (cpu.protected_mode()) {
    deliver_protected(cpu, event);
  } else {
    deliver_real(cpu, event);
  }
  cpu.event.interrupt_shadow = cpu.debug_shadow = false;
  cpu.halt_requested = false;  // a trap after HLT ends it
  if (debug && (cpu.sys.dr7 & dr7::GD)) {
    cpu.sys.dr7 &= ~dr7::GD;  // so that the handler may use the debug registers (SDM 3B 17.2.4)
    cpu.update_mode();
  }
}

void Cpu::deliver(u8 vector, EventKind kind, bool has_error, u32 error) {
  deliver_event(*this, vector, kind, has_error, error, kind == EventKind::SoftwareInterrupt ? next_rip : rip);
  rip = next_rip;
}

bool is_redirected(Cpu& cpu, u8 vector) {
  if (!(cpu.sys.cr4 & cr4::VME)) return false;
  constexpr unsigned kIoMapBase = 0x66, kBitmapBytes = 32;
  const Segment& tr = cpu.sys.segment[TR];
  if (kIoMapBase + 1 > tr.limit) return false;
  const u64 io_map = cpu.read_system(tr.base + kIoMapBase, 2);
  if (io_map < kBitmapBytes) return false;
  const u64 at = io_map - kBitmapBytes + vector / 8;
  if (at > tr.limit) return false;
  return !((cpu.read_system(tr.base + at, 1) >> (vector % 8)) & 1);
}

void deliver_redirected(Cpu& cpu, u8 vector) {
  const u64 entry = cpu.read_linear<u32>(u64{vector} * 4);
  const bool virtual_if = cpu.iopl() < 3;
  u64 flags = cpu.rflags;
  if (virtual_if) flags = (flags & ~rflags::IF) | rflags::IOPL | (flags & rflags::VIF ? rflags::IF : 0);
  u64 sp = cpu.stack_pointer();
  cpu.push(sp, 2, flags);
  cpu.push(sp, 2, cpu.sys.segment[CS].selector);
  cpu.push(sp, 2, cpu.next_rip);
  cpu.set_stack_pointer(sp);
  cpu.rflags &= ~(rflags::TF | rflags::NT | rflags::RF | (virtual_if ? rflags::VIF : rflags::IF));
  enter_code(cpu, v86_segment(static_cast<u16>(entry >> 16)), entry & 0xFFFF);
}

}  // namespace vireo::cpu::interp
