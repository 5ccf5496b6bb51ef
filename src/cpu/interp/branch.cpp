// Near jumps, calls and returns, conditional moves and sets, BOUND.
#include "cpu/interp/flags.h"
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

bool is_good_target(const Cpu& cpu, u64 target) {
  return cpu.code64() ? x86::is_canonical(target) : target <= cpu.sys.segment[CS].limit;
}

/// Where a near branch of operand size `size` to `target` goes; #GP(0) before any state changes when it leaves the code
/// segment or is not canonical.
u64 checked_target(Cpu& cpu, u64 target, unsigned size) {
  target &= mask_for_size(size);
  if (!is_good_target(cpu, target)) cpu.raise(Vector::GP, 0);
  return target;
}

void jump(Cpu& cpu, const Insn& insn) { cpu.next_rip = checked_target(cpu, cpu.next_rip + insn.imm, insn.op_size); }

template <unsigned kNibble>
void jump_if(Cpu& cpu, const Insn& insn) {
  if (condition(cpu.rflags, kNibble)) cpu.next_rip = checked_target(cpu, cpu.next_rip + insn.imm, insn.op_size);
}

u64 branch_operand(Cpu& cpu, const Insn& insn) {
  if (!insn.has_mem) return cpu.reg_sized(insn.reg, insn.op_size);
  switch (insn.op_size) {
    case 2:
      return read_operand<u16>(cpu, insn);
    case 4:
      return read_operand<u32>(cpu, insn);
    default:
      return read_operand<u64>(cpu, insn);
  }
}

void jump_indirect(Cpu& cpu, const Insn& insn) {
  cpu.next_rip = checked_target(cpu, branch_operand(cpu, insn), insn.op_size);
}

void call_to(Cpu& cpu, const Insn& insn, u64 target) {
  u64 sp = cpu.stack_pointer();
  if (!is_good_target(cpu, target & mask_for_size(insn.op_size))) {  // the stack's faults come first
    const u64 next = (sp - insn.op_size) & cpu.stack_mask;
    cpu.probe_write(cpu.linear(SS, next, insn.op_size, Access::Write), insn.op_size, SS);
  }
  target = checked_target(cpu, target, insn.op_size);
  cpu.push(sp, insn.op_size, cpu.next_rip);
  cpu.set_stack_pointer(sp);
  cpu.next_rip = target;
}
void call(Cpu& cpu, const Insn& insn) { call_to(cpu, insn, cpu.next_rip + insn.imm); }
void call_indirect(Cpu& cpu, const Insn& insn) { call_to(cpu, insn, branch_operand(cpu, insn)); }

void ret(Cpu& cpu, const Insn& insn) {
  u64 sp = cpu.stack_pointer();
  const u64 target = checked_target(cpu, cpu.pop(sp, insn.op_size), insn.op_size);
  cpu.set_stack_pointer((sp + insn.imm) & cpu.stack_mask);
  cpu.next_rip = target;
}

u64 counter(const Cpu& cpu, const Insn& insn) { return cpu.r[RCX] & mask_for_size(insn.addr_size); }

/// LOOP, LOOPE, LOOPNE.
void loop(Cpu& cpu, const Insn& insn) {
  const u64 count = (counter(cpu, insn) - 1) & mask_for_size(insn.addr_size);
  const bool zero = cpu.rflags & rflags::ZF;
  const bool taken =
      count != 0 && (insn.mnemonic == ZYDIS_MNEMONIC_LOOP || zero == (insn.mnemonic == ZYDIS_MNEMONIC_LOOPE));
  if (taken) cpu.next_rip = checked_target(cpu, cpu.next_rip + insn.imm, insn.op_size);
  cpu.set_reg_sized(RCX * 8, insn.addr_size, count);
}

void jump_if_counter_zero(Cpu& cpu, const Insn& insn) {
  if (counter(cpu, insn) == 0) cpu.next_rip = checked_target(cpu, cpu.next_rip + insn.imm, insn.op_size);
}

/// BOUND: an index and the two bounds in memory.
template <class T>
void check_bound(Cpu& cpu, const Insn& insn) {
  const Seg seg = seg_of(insn);
  const u64 va = cpu.linear(seg, cpu.effective_address(insn), 2 * sizeof(T), Access::Read);
  T bounds[2];
  cpu.read_bytes(va, bounds, sizeof(bounds), seg);
  const T index = cpu.reg<T>(insn.reg);
  if (index < bounds[0] || index > bounds[1]) cpu.raise(Vector::BR);
}

void set_if_reg(Cpu& cpu, const Insn& insn) { cpu.set_reg<u8>(insn.reg, condition(cpu.rflags, insn.cond)); }
void set_if_mem(Cpu& cpu, const Insn& insn) { write_operand<u8>(cpu, insn, condition(cpu.rflags, insn.cond)); }

template <class T>
struct MoveIfReg {
  static void run(Cpu& cpu, const Insn& insn) {
    cpu.set_reg<T>(insn.reg, condition(cpu.rflags, insn.cond) ? cpu.reg<T>(insn.rm) : cpu.reg<T>(insn.reg));
  }
};
template <class T>
struct MoveIfMem {
  static void run(Cpu& cpu, const Insn& insn) {  // the load happens either way
    const T value = read_operand<T>(cpu, insn);
    cpu.set_reg<T>(insn.reg, condition(cpu.rflags, insn.cond) ? value : cpu.reg<T>(insn.reg));
  }
};

Handler select_jump_if(unsigned nibble) {
  static constexpr Handler kTable[16] = {jump_if<0>,  jump_if<1>,  jump_if<2>,  jump_if<3>, jump_if<4>,  jump_if<5>,
                                         jump_if<6>,  jump_if<7>,  jump_if<8>,  jump_if<9>, jump_if<10>, jump_if<11>,
                                         jump_if<12>, jump_if<13>, jump_if<14>, jump_if<15>};
  return kTable[nibble];
}

}  // namespace

Handler select_branch(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  const auto& meta = decoded.instruction.meta;
  if (meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return select_far(cpu, decoded, insn);
  const auto& first = decoded.operands[0];
  insn.cond = decoded.instruction.opcode & 15;
  // In 64-bit code near branches are 64 bits wide but for an operand-size prefix, which AMD processors honour.
  insn.op_size = decoded.instruction.operand_width / 8;
  const bool moves = meta.category == ZYDIS_CATEGORY_SETCC || meta.category == ZYDIS_CATEGORY_CMOV;
  if (decoded.mode == CodeMode::Bits64 && !moves) {
    const bool narrow = (decoded.instruction.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) && !insn.rex_w;
    insn.op_size = narrow ? 2 : 8;
  }
  switch (meta.category) {
    case ZYDIS_CATEGORY_SETCC:
      if (insn.has_mem) return set_if_mem;
      insn.reg = slot_of(first.reg.value);
      return set_if_reg;
    case ZYDIS_CATEGORY_CMOV:
      insn.reg = slot_of(first.reg.value);
      if (insn.has_mem) return by_size_no_byte<MoveIfMem>(insn.op_size);
      insn.rm = slot_of(decoded.operands[1].reg.value);
      return by_size_no_byte<MoveIfReg>(insn.op_size);
    default:
      break;
  }
  if (first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && first.imm.is_relative)
    insn.imm = static_cast<u64>(first.imm.value.s);
  if (first.type == ZYDIS_OPERAND_TYPE_REGISTER) insn.reg = slot_of(first.reg.value);
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_JMP:
      return first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? jump : jump_indirect;
    case ZYDIS_MNEMONIC_CALL:
      return first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? call : call_indirect;
    case ZYDIS_MNEMONIC_RET:
      insn.imm = first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? first.imm.value.u : 0;
      return ret;
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
      return loop;
    case ZYDIS_MNEMONIC_BOUND:
      return insn.op_size == 2 ? check_bound<i16> : check_bound<i32>;
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
      return jump_if_counter_zero;
    default:
      return select_jump_if(insn.cond);
  }
}

}  // namespace vireo::cpu::interp
