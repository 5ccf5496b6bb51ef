// select_host: which instructions the host may run for this guest, and those that need no running at all.
#include "cpu/interp/host_exec.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

void run_host(Cpu& cpu, const Insn& insn) { cpu.host_exec->run(*static_cast<const HostInsn*>(insn.data), insn); }

void run_host_masked(Cpu& cpu, const Insn& insn) {
  cpu.host_exec->run_masked(*static_cast<const HostInsn*>(insn.data), insn);
}

/// Stands in for an instruction whose stub found no room: asks for a flush, and is tried again after it.
void run_after_flush(Cpu& cpu, const Insn&) {
  cpu.host_exec->wants_flush = true;
  cpu.end_block();
  cpu.next_rip = cpu.rip;
}

void run_nothing(Cpu&, const Insn&) {}

/// CLFLUSH and relatives are checked as a load of one byte.
void run_cache_line(Cpu& cpu, const Insn& insn) {
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 va = cpu.linear(seg, cpu.effective_address(insn), 1, Access::Read);
  if (cpu.tlb.read(cpu.view, va, 1) == nullptr) {
    u8 byte;
    cpu.read_bytes(va, &byte, 1, seg);
  }
}

/// Hints, fences and the like that have nothing to do on an in-order machine.
Handler select_trivial(const DecodedInsn& decoded) {
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_CLDEMOTE:
    case ZYDIS_MNEMONIC_NOP:
    case ZYDIS_MNEMONIC_ENDBR32:
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_RDSSPD:
    case ZYDIS_MNEMONIC_RDSSPQ:
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_SFENCE:
      return run_nothing;
    case ZYDIS_MNEMONIC_MFENCE:
      return [](Cpu&, const Insn&) { __atomic_thread_fence(__ATOMIC_SEQ_CST); };
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
      return run_cache_line;
    default:
      return nullptr;
  }
}

/// The last-opcode register's value: the low three bits of the first opcode byte and the second (SDM 1 8.1.9).
u64 x87_opcode(const DecodedInsn& decoded) {
  const unsigned at = decoded.instruction.raw.modrm.offset;
  return (decoded.bytes[at - 1] & 7u) << 8 | decoded.bytes[at];
}

}  // namespace

Handler select_host(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  const auto& instruction = decoded.instruction;
  if (instruction.attributes & ZYDIS_ATTRIB_HAS_LOCK) return nullptr;
  HostExec& exec = *cpu.host_exec;
  if (!exec.announced(instruction.meta.isa_set)) {
    // Without the feature the prefix is ignored, and the older instruction of the same opcode runs.
    if (instruction.mnemonic != ZYDIS_MNEMONIC_TZCNT && instruction.mnemonic != ZYDIS_MNEMONIC_LZCNT) return nullptr;
    DecodedInsn older = decoded;
    older.instruction.mnemonic = instruction.mnemonic == ZYDIS_MNEMONIC_TZCNT ? ZYDIS_MNEMONIC_BSF : ZYDIS_MNEMONIC_BSR;
    insn.mnemonic = static_cast<u16>(older.instruction.mnemonic);
    return select_bits(cpu, older, insn);
  }
  if (Handler trivial = select_trivial(decoded)) return trivial;
  switch (instruction.meta.isa_set) {  // no-op spaces hold nothing else
    case ZYDIS_ISA_SET_FAT_NOP:
    case ZYDIS_ISA_SET_PREFETCH_NOP:
    case ZYDIS_ISA_SET_CET:
    case ZYDIS_ISA_SET_CLDEMOTE:
      return nullptr;
    case ZYDIS_ISA_SET_PPRO:
      if (instruction.meta.category != ZYDIS_CATEGORY_X87_ALU) return nullptr;
      break;
    default:
      break;
  }
  const HostInsn* form = exec.find(decoded);
  if (form == nullptr) return exec.wants_flush ? run_after_flush : nullptr;
  if (form->x87_pointers) insn.imm = x87_opcode(decoded);
  insn.data = form;
  return form->mask != 0 ? run_host_masked : run_host;
}

}  // namespace vireo::cpu::interp
