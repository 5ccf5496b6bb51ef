// Debug registers: breakpoints, single step, task-switch traps.
#include "cpu/interp/debug.h"

#include "cpu/interp/segment.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// DR7.R/Wn.
enum class Condition : u8 { Execute, Write, Io, ReadWrite };

constexpr u64 kEnables = 0xFF;

bool enabled(u64 dr7, unsigned n) { return (dr7 >> (2 * n)) & 3; }
Condition condition(u64 dr7, unsigned n) { return static_cast<Condition>(bits(dr7, 16 + 4 * n, 2)); }
/// DR7.LENn: 00b one byte, 01b two, 10b eight, 11b four.
unsigned length(u64 dr7, unsigned n) {
  constexpr unsigned kLength[] = {1, 2, 8, 4};
  return kLength[bits(dr7, 18 + 4 * n, 2)];
}

/// Bits B0..B3 of the breakpoints of a kind that `matches` and whose range meets [address, address+size).
template <class F>
u64 hits(const Cpu& cpu, u64 address, unsigned size, F matches) {
  u64 found = 0;
  for (unsigned n = 0; n < 4; ++n) {
    if (!matches(condition(cpu.sys.dr7, n))) continue;
    const u64 span = length(cpu.sys.dr7, n);
    const u64 start = cpu.sys.dr[n] & ~(span - 1);
    if (address - start < span || start - address < size) found |= dr6::B0 << n;
  }
  return found;
}

/// DR6 reports every breakpoint whose condition is met, but only an enabled one makes an exception (SDM 3B 17.2.3).
bool any_enabled(const Cpu& cpu, u64 found) {
  for (unsigned n = 0; n < 4; ++n) {
    if ((found & (dr6::B0 << n)) && enabled(cpu.sys.dr7, n)) return true;
  }
  return false;
}

void set_dr6(Cpu& cpu, u64 found) {
  // B0..B3 say what happened this time; BS, BT and BD stay until software clears them.
  cpu.sys.dr6 = (cpu.sys.dr6 & ~u64{15}) | found;
}

}  // namespace

bool debug_active(const Cpu& cpu) {
  return (cpu.sys.dr7 & kEnables) != 0 || (cpu.rflags & (rflags::TF | rflags::RF)) != 0 || cpu.debug_pending != 0 ||
         cpu.debug_shadow;
}

bool data_breakpoints_active(const Cpu& cpu) {
  for (unsigned n = 0; n < 4; ++n) {
    if (enabled(cpu.sys.dr7, n) && condition(cpu.sys.dr7, n) != Condition::Execute) return true;
  }
  return false;
}

void check_execute_breakpoints(Cpu& cpu) {
  if (cpu.debug_shadow) return;              // SDM 3B 17.3.1.1: not right after MOV SS
  if (cpu.debug_pending & ~kNoSingleStep) {  // a task switch outside the stepping mode
    set_dr6(cpu, cpu.debug_pending & ~kNoSingleStep);
    cpu.debug_pending = 0;
    cpu.raise(Vector::DB);
  }
  if (cpu.rflags & rflags::RF) {
    cpu.rflags &= ~rflags::RF;
    cpu.update_mode();
    return;
  }
  if (!(cpu.sys.dr7 & kEnables)) return;
  const u64 at = cpu.code64() ? cpu.rip : static_cast<u32>(cpu.sys.segment[CS].base + cpu.rip);
  const u64 found = hits(cpu, at, 1, [](Condition c) { return c == Condition::Execute; });
  if (!any_enabled(cpu, found)) return;
  set_dr6(cpu, found);
  cpu.debug_pending = 0;
  cpu.raise(Vector::DB);
}

void note_data_access(Cpu& cpu, u64 va, unsigned size, Access access) {
  if (!(cpu.sys.dr7 & kEnables)) return;
  const u64 found = hits(cpu, va, size, [access](Condition c) {
    return c == Condition::ReadWrite || (c == Condition::Write && access == Access::Write);
  });
  if (any_enabled(cpu, found)) cpu.debug_pending |= found;
}

void note_port_access(Cpu& cpu, u16 port, unsigned size) {
  if (!(cpu.sys.dr7 & kEnables) || !(cpu.sys.cr4 & cr4::DE)) return;
  const u64 found = hits(cpu, port, size, [](Condition c) { return c == Condition::Io; });
  if (any_enabled(cpu, found)) cpu.debug_pending |= found;
}

bool take_debug_trap(Cpu& cpu, bool single_step) {
  if (cpu.debug_shadow && cpu.event.interrupt_shadow) return false;  // right after MOV SS: B0..B3 wait, BS is lost
  if (cpu.debug_shadow) {
    cpu.debug_shadow = false;
    cpu.update_mode();
  }
  if (cpu.debug_pending & kNoSingleStep) single_step = false;
  const u64 found = (cpu.debug_pending & ~kNoSingleStep) | (single_step ? dr6::BS : 0);
  cpu.debug_pending = 0;
  if (found == 0) return false;
  set_dr6(cpu, found);
  return true;
}

}  // namespace vireo::cpu::interp
