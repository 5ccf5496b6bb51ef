// Operand access shared by the integer handlers.
//
// Integer selectors normalise Insn: `reg` is the destination register (or the only one), `rm` the source register. The
// memory operand, if any, is described by base/index/scale/disp/seg.
#pragma once

#include "cpu/interp/cpu.h"
#include "cpu/interp/select.h"

namespace vireo::cpu::interp {

inline Seg seg_of(const Insn& insn) { return static_cast<Seg>(insn.seg); }

/// Register slot of a Zydis general register; kRipSlot for (E)IP, kZeroSlot for none and vector registers.
RegSlot slot_of(ZydisRegister reg);

template <class T>
T read_operand(Cpu& cpu, const Insn& insn) {
  return cpu.read<T>(seg_of(insn), cpu.effective_address(insn));
}

template <class T>
void write_operand(Cpu& cpu, const Insn& insn, T value) {
  cpu.write<T>(seg_of(insn), cpu.effective_address(insn), value);
}

/// A naturally sized host access that need not be aligned.
template <class T>
__attribute__((no_sanitize("alignment"))) inline bool compare_exchange(u8* host, T& expected, T desired) {
  return __atomic_compare_exchange_n(reinterpret_cast<T*>(host), &expected, desired, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST);
}

/// Serialises locked instructions whose operand is not in one piece of host memory (page-crossing, discontiguous
/// pages).
class SplitLock {
 public:
  static void acquire();
  static void release();
  /// For the run loop: another vCPU changed the page tables between the check and the access, and the access faulted.
  static void release_after_fault();
};

/// Read-modify-write of the memory operand at `va`: `operation(old value, flags) -> new value` may be run more than
/// once and has no effect of its own; flags are committed with the store.
template <class T, class Operation>
void modify_at(Cpu& cpu, u64 va, Seg seg, bool locked, Operation operation) {
  u64 flags = cpu.rflags;
  if (u8* host = cpu.rmw_pointer(va, sizeof(T), seg)) [[likely]] {
    T old = load<T>(host);
    if (locked) {
      for (;;) {
        flags = cpu.rflags;
        if (compare_exchange<T>(host, old, operation(old, flags))) break;
      }
    } else {
      store<T>(host, operation(old, flags));
    }
    cpu.written(host, sizeof(T));
  } else {
    cpu.probe_write(va, sizeof(T), seg);
    if (locked) SplitLock::acquire();
    T value{};
    cpu.read_bytes(va, &value, sizeof(T), seg);
    value = operation(value, flags);
    cpu.write_bytes(va, &value, sizeof(T), seg);
    if (locked) SplitLock::release();
  }
  cpu.rflags = flags;
}

template <class T, class Operation>
void modify_operand(Cpu& cpu, const Insn& insn, bool locked, Operation operation) {
  const Seg seg = seg_of(insn);
  modify_at<T>(cpu, cpu.linear(seg, cpu.effective_address(insn), sizeof(T), Access::Write), seg, locked, operation);
}

/// Handler for the operand size of `insn` from a template over the integer type: pick_size<[]<class T>() {...}>.
template <template <class> class Family>
Handler by_size(unsigned size) {
  switch (size) {
    case 1:
      return Family<u8>::run;
    case 2:
      return Family<u16>::run;
    case 4:
      return Family<u32>::run;
    case 8:
      return Family<u64>::run;
    default:
      return nullptr;
  }
}

template <template <class> class Family>
Handler by_size_no_byte(unsigned size) {
  return size == 1 ? nullptr : by_size<Family>(size);
}

}  // namespace vireo::cpu::interp
