// MOVS, STOS, LODS, SCAS, CMPS with their REP prefixes.
//
// A repeated instruction commits RCX, RSI and RDI after every element (or every run of elements that lies in one host
// page), so a fault or an interrupt finds it restartable. With an event waiting it leaves with RIP on itself.
#include <algorithm>
#include <cstring>

#include "cpu/interp/flags.h"
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr unsigned kElementsBetweenPolls = 4096;

u64 address_register(const Cpu& cpu, const Insn& insn, Gpr reg) { return cpu.r[reg] & mask_for_size(insn.addr_size); }

void set_address_register(Cpu& cpu, const Insn& insn, Gpr reg, u64 value) {
  cpu.set_reg_sized(static_cast<RegSlot>(reg * 8), insn.addr_size, value);
}

void advance(Cpu& cpu, const Insn& insn, Gpr reg, i64 bytes) {
  set_address_register(cpu, insn, reg, cpu.r[reg] + static_cast<u64>(bytes));
}

template <class T>
i64 step(const Cpu& cpu) {
  return cpu.rflags & rflags::DF ? -static_cast<i64>(sizeof(T)) : static_cast<i64>(sizeof(T));
}

/// Elements from `offset` that a page fast path may take at once: to the end of the page, of the count, of the
/// wrap-around.
template <class T>
u64 run_length(const Insn& insn, u64 count, u64 va, u64 offset) {
  const u64 in_page = (kPageSize - (va & kPageMask)) / sizeof(T);
  const u64 to_wrap = (mask_for_size(insn.addr_size) - offset) / sizeof(T);
  return std::min({count, in_page, to_wrap, u64{kElementsBetweenPolls}});
}

/// The repeat loop. `some(count)` does 1..count elements, commits index registers, and returns how many; `stop()` is
/// the REPE/REPNE condition, asked after each call (which then does one element at a time).
template <class Some, class Stop>
void repeat(Cpu& cpu, const Insn& insn, Some some, Stop stop) {
  if (insn.rep == 0) {
    some(u64{1});
    return;
  }
  u64 polls = 0;
  for (;;) {
    const u64 count = address_register(cpu, insn, RCX);
    if (count == 0) return;
    const u64 done = some(cpu.careful ? u64{1} : count);
    set_address_register(cpu, insn, RCX, count - done);
    if (count == done || stop()) return;
    polls += done;
    if (cpu.careful || (polls >= kElementsBetweenPolls && cpu.attention.load(std::memory_order_relaxed))) {
      cpu.next_rip = cpu.rip;
      cpu.end_block();
      return;
    }
    if (polls >= kElementsBetweenPolls) polls = 0;
  }
}

constexpr auto never = [] { return false; };

template <class T>
struct Movs {
  static void run(Cpu& cpu, const Insn& insn) {
    const Seg from_seg = seg_of(insn);
    repeat(
        cpu, insn,
        [&](u64 count) -> u64 {
          const u64 from_offset = address_register(cpu, insn, RSI);
          const u64 to_offset = address_register(cpu, insn, RDI);
          const u64 from = cpu.linear(from_seg, from_offset, sizeof(T), Access::Read);
          if (count > 1 && !(cpu.rflags & rflags::DF) && cpu.code64()) {
            const u64 to = to_offset;  // ES has no base here
            const u64 n =
                std::min(run_length<T>(insn, count, from, from_offset), run_length<T>(insn, count, to, to_offset));
            const auto size = static_cast<unsigned>(n * sizeof(T));
            const u8* source = n > 1 ? cpu.run_pointer(from, size, Access::Read, from_seg) : nullptr;
            u8* target = source != nullptr ? cpu.run_pointer(to, size, Access::Write, ES) : nullptr;
            // A target that starts inside the source repeats what was copied: element by element.
            if (target != nullptr && (target <= source || target >= source + n * sizeof(T))) {
              std::memmove(target, source, n * sizeof(T));
              cpu.written_range(target, static_cast<unsigned>(n * sizeof(T)));
              advance(cpu, insn, RSI, static_cast<i64>(n * sizeof(T)));
              advance(cpu, insn, RDI, static_cast<i64>(n * sizeof(T)));
              return n;
            }
          }
          const T value = cpu.read_linear<T>(from, from_seg);  // faults come in this order
          cpu.write<T>(ES, to_offset, value);
          advance(cpu, insn, RSI, step<T>(cpu));
          advance(cpu, insn, RDI, step<T>(cpu));
          return 1;
        },
        never);
  }
};

template <class T>
struct Stos {
  static void run(Cpu& cpu, const Insn& insn) {
    const T value = cpu.reg<T>(RAX * 8);
    repeat(
        cpu, insn,
        [&](u64 count) -> u64 {
          const u64 offset = address_register(cpu, insn, RDI);
          const u64 to = cpu.linear(ES, offset, sizeof(T), Access::Write);
          if (count > 1 && !(cpu.rflags & rflags::DF) && cpu.code64()) {
            const u64 n = run_length<T>(insn, count, to, offset);
            u8* target = n > 1 ? cpu.run_pointer(to, static_cast<unsigned>(n * sizeof(T)), Access::Write, ES) : nullptr;
            if (target != nullptr) {
              for (u64 i = 0; i < n; ++i) store<T>(target + i * sizeof(T), value);
              cpu.written_range(target, static_cast<unsigned>(n * sizeof(T)));
              advance(cpu, insn, RDI, static_cast<i64>(n * sizeof(T)));
              return n;
            }
          }
          cpu.write_linear<T>(to, value, ES);
          advance(cpu, insn, RDI, step<T>(cpu));
          return 1;
        },
        never);
  }
};

template <class T>
struct Lods {
  static void run(Cpu& cpu, const Insn& insn) {
    repeat(
        cpu, insn,
        [&](u64) -> u64 {
          cpu.set_reg<T>(RAX * 8, cpu.read<T>(seg_of(insn), address_register(cpu, insn, RSI)));
          advance(cpu, insn, RSI, step<T>(cpu));
          return 1;
        },
        never);
  }
};

/// REPE (F3) goes on while ZF is set, REPNE (F2) while it is clear.
bool comparison_ends(const Cpu& cpu, const Insn& insn) {
  return ((cpu.rflags & rflags::ZF) != 0) != (insn.rep == 0xF3);
}

template <class T>
struct Scas {
  static void run(Cpu& cpu, const Insn& insn) {
    repeat(
        cpu, insn,
        [&](u64) -> u64 {
          const T value = cpu.read<T>(ES, address_register(cpu, insn, RDI));
          OpSub::run(cpu.reg<T>(RAX * 8), value, cpu.rflags);
          advance(cpu, insn, RDI, step<T>(cpu));
          return 1;
        },
        [&] { return comparison_ends(cpu, insn); });
  }
};

template <class T>
struct Cmps {
  static void run(Cpu& cpu, const Insn& insn) {
    repeat(
        cpu, insn,
        [&](u64) -> u64 {
          const T first = cpu.read<T>(seg_of(insn), address_register(cpu, insn, RSI));
          const T second = cpu.read<T>(ES, address_register(cpu, insn, RDI));
          OpSub::run(first, second, cpu.rflags);
          advance(cpu, insn, RSI, step<T>(cpu));
          advance(cpu, insn, RDI, step<T>(cpu));
          return 1;
        },
        [&] { return comparison_ends(cpu, insn); });
  }
};

}  // namespace

Handler select_string(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  // MOVSD and CMPSD are also SSE2 instructions.
  if (decoded.instruction.meta.category != ZYDIS_CATEGORY_STRINGOP) return select_host(cpu, decoded, insn);
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {  // the source, whose segment can be overridden
    const auto& operand = decoded.operands[i];
    if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
    const auto base = operand.mem.base;
    if (base == ZYDIS_REGISTER_SI || base == ZYDIS_REGISTER_ESI || base == ZYDIS_REGISTER_RSI) {
      insn.seg = static_cast<u8>(operand.mem.segment - ZYDIS_REGISTER_ES);
    }
  }
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_MOVSB:
      return Movs<u8>::run;
    case ZYDIS_MNEMONIC_MOVSW:
      return Movs<u16>::run;
    case ZYDIS_MNEMONIC_MOVSD:
      return Movs<u32>::run;
    case ZYDIS_MNEMONIC_MOVSQ:
      return Movs<u64>::run;
    case ZYDIS_MNEMONIC_STOSB:
      return Stos<u8>::run;
    case ZYDIS_MNEMONIC_STOSW:
      return Stos<u16>::run;
    case ZYDIS_MNEMONIC_STOSD:
      return Stos<u32>::run;
    case ZYDIS_MNEMONIC_STOSQ:
      return Stos<u64>::run;
    case ZYDIS_MNEMONIC_LODSB:
      return Lods<u8>::run;
    case ZYDIS_MNEMONIC_LODSW:
      return Lods<u16>::run;
    case ZYDIS_MNEMONIC_LODSD:
      return Lods<u32>::run;
    case ZYDIS_MNEMONIC_LODSQ:
      return Lods<u64>::run;
    case ZYDIS_MNEMONIC_SCASB:
      return Scas<u8>::run;
    case ZYDIS_MNEMONIC_SCASW:
      return Scas<u16>::run;
    case ZYDIS_MNEMONIC_SCASD:
      return Scas<u32>::run;
    case ZYDIS_MNEMONIC_SCASQ:
      return Scas<u64>::run;
    case ZYDIS_MNEMONIC_CMPSB:
      return Cmps<u8>::run;
    case ZYDIS_MNEMONIC_CMPSW:
      return Cmps<u16>::run;
    case ZYDIS_MNEMONIC_CMPSD:
      return Cmps<u32>::run;
    case ZYDIS_MNEMONIC_CMPSQ:
      return Cmps<u64>::run;
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
