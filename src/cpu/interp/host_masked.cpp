// EVEX instructions with a memory operand under a mask: elements that are not chosen are not accessed and do not fault.
#include <bit>

#include "cpu/interp/host_exec.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// Bit i: element i of the memory operand is accessed.
u64 chosen_elements(const HostInsn& form, u64 mask) {
  const auto low = [](unsigned count) { return count >= 64 ? ~u64{0} : bit(count) - 1; };
  mask &= low(form.lanes);
  if (form.packed) return low(static_cast<unsigned>(std::popcount(mask)));
  u64 chosen = mask & low(form.elements);
  for (unsigned at = form.elements; at < form.lanes; at += form.elements) chosen |= mask >> at & low(form.elements);
  return chosen;
}

template <class Function>
void for_each(u64 chosen, Function function) {
  for (; chosen != 0; chosen &= chosen - 1) function(static_cast<unsigned>(std::countr_zero(chosen)));
}

u64 element_address(Cpu& cpu, const HostInsn& form, const Insn& insn, u64 ea, unsigned i, Access access) {
  return cpu.linear(static_cast<Seg>(insn.seg), ea + u64{i} * form.element_size, form.element_size, access);
}

void read_element(Cpu& cpu, u64 va, Seg seg, unsigned size, u8* to) {
  switch (size) {
    case 1:
      *to = cpu.read_linear<u8>(va, seg);
      return;
    case 2:
      store(to, cpu.read_linear<u16>(va, seg));
      return;
    case 4:
      store(to, cpu.read_linear<u32>(va, seg));
      return;
    default:
      store(to, cpu.read_linear<u64>(va, seg));
      return;
  }
}

void write_element(Cpu& cpu, u64 va, Seg seg, unsigned size, const u8* from) {
  switch (size) {
    case 1:
      return cpu.write_linear<u8>(va, *from, seg);
    case 2:
      return cpu.write_linear<u16>(va, load<u16>(from), seg);
    case 4:
      return cpu.write_linear<u32>(va, load<u32>(from), seg);
    default:
      return cpu.write_linear<u64>(va, load<u64>(from), seg);
  }
}

/// The operand as a whole, if it is all within a page of RAM: reading more than is chosen does no harm there.
const u8* readable(Cpu& cpu, const HostInsn& form, const Insn& insn, u64 ea) {
  if (!cpu.code64()) return nullptr;
  const u64 va = insn.seg >= FS ? ea + cpu.sys.segment[insn.seg].base : ea;
  return x86::is_canonical(va) ? cpu.tlb.read(cpu.view, va, form.memory_size) : nullptr;
}

void fetch_chosen(Cpu& cpu, const HostInsn& form, const Insn& insn, u64 ea, u64 chosen, u8* to) {
  if (const u8* host = readable(cpu, form, insn, ea)) [[likely]] {
    std::memcpy(to, host, form.memory_size);
    return;
  }
  std::memset(to, 0, form.memory_size);
  for_each(chosen, [&](unsigned i) {
    const u64 va = element_address(cpu, form, insn, ea, i, Access::Read);
    read_element(cpu, va, static_cast<Seg>(insn.seg), form.element_size, to + i * form.element_size);
  });
}

}  // namespace

void HostExec::run_masked(const HostInsn& form, const Insn& insn) {
  check_needs(cpu_, form.need);
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 ea = cpu_.effective_address(insn);
  const u64 chosen = chosen_elements(form, cpu_.fpu.opmask[form.mask]);
  if (form.alignment > 1 && chosen != 0) check_alignment(cpu_, seg, ea, form.alignment);
  if (form.whole) {
    cpu_.probe_write(cpu_.linear(seg, ea, form.memory_size, Access::Write), form.memory_size, seg);
  } else if (form.memory_written) {
    for_each(chosen, [&](unsigned i) {
      const u64 va = element_address(cpu_, form, insn, ea, i, Access::Write);
      if (cpu_.tlb.write(cpu_.view, va, form.element_size) == nullptr) cpu_.probe_write(va, form.element_size, seg);
    });
  }
  if (form.memory_read) fetch_chosen(cpu_, form, insn, ea, chosen, frame_.scratch);
  call(form, insn);
  if (!form.memory_written) return;
  for_each(chosen, [&](unsigned i) {
    const u64 va = element_address(cpu_, form, insn, ea, i, Access::Write);
    write_element(cpu_, va, seg, form.element_size, frame_.scratch + i * form.element_size);
  });
}

}  // namespace vireo::cpu::interp
