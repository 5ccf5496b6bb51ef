// PUSH, POP, PUSHA, POPA, ENTER, LEAVE.
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

void push_value(Cpu& cpu, const Insn& insn, u64 value) {
  u64 sp = cpu.stack_pointer();
  cpu.push(sp, insn.op_size, value);
  cpu.set_stack_pointer(sp);
}

void push_reg(Cpu& cpu, const Insn& insn) { push_value(cpu, insn, cpu.r[insn.reg / 8]); }
void push_imm(Cpu& cpu, const Insn& insn) { push_value(cpu, insn, insn.imm); }
template <class T>
struct PushMem {
  static void run(Cpu& cpu, const Insn& insn) { push_value(cpu, insn, read_operand<T>(cpu, insn)); }
};

void pop_reg(Cpu& cpu, const Insn& insn) {
  u64 sp = cpu.stack_pointer();
  const u64 value = cpu.pop(sp, insn.op_size);
  cpu.set_stack_pointer(sp);
  cpu.set_reg_sized(insn.reg, insn.op_size, value);  // POP RSP: the popped value wins
}

template <class T>
struct PopMem {
  static void run(Cpu& cpu, const Insn& insn) {
    const u64 old = cpu.r[RSP];
    u64 sp = cpu.stack_pointer();
    const T value = static_cast<T>(cpu.pop(sp, sizeof(T)));
    // The address is computed with RSP already incremented (SDM 2, POP).
    cpu.set_stack_pointer(sp);
    const u64 offset = cpu.effective_address(insn);
    const u64 incremented = cpu.r[RSP];
    cpu.r[RSP] = old;  // for the fault the store may raise
    cpu.write<T>(seg_of(insn), offset, value);
    cpu.r[RSP] = incremented;
  }
};

void push_all(Cpu& cpu, const Insn& insn) {
  u64 sp = cpu.stack_pointer();
  for (auto reg : {RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI}) cpu.push(sp, insn.op_size, cpu.r[reg]);
  cpu.set_stack_pointer(sp);
}

void pop_all(Cpu& cpu, const Insn& insn) {
  u64 sp = cpu.stack_pointer();
  u64 values[8];
  for (u64& value : values) value = cpu.pop(sp, insn.op_size);
  cpu.set_stack_pointer(sp);
  unsigned next = 0;
  for (auto reg : {RDI, RSI, RBP, RSP, RBX, RDX, RCX, RAX}) {
    if (reg != RSP) cpu.set_reg_sized(static_cast<RegSlot>(reg * 8), insn.op_size, values[next]);
    ++next;
  }
}

void leave(Cpu& cpu, const Insn& insn) {
  u64 sp = cpu.r[RBP] & cpu.stack_mask;
  const u64 frame = cpu.pop(sp, insn.op_size);
  cpu.set_stack_pointer(sp);
  cpu.set_reg_sized(RBP * 8, insn.op_size, frame);
}

void enter(Cpu& cpu, const Insn& insn) {
  const u64 local_bytes = insn.imm & 0xFFFF;
  const unsigned nesting = (insn.imm >> 16) & 31;
  u64 sp = cpu.stack_pointer();
  cpu.push(sp, insn.op_size, cpu.r[RBP]);
  // With a 16-bit stack the frame pointer still gets the upper half of ESP.
  const u64 frame = (cpu.r[RSP] & ~cpu.stack_mask) | sp;
  if (nesting > 0) {
    u64 display = cpu.r[RBP] & cpu.stack_mask;
    for (unsigned i = 1; i < nesting; ++i) {
      display = (display - insn.op_size) & cpu.stack_mask;
      u64 at = display;
      cpu.push(sp, insn.op_size, cpu.pop(at, insn.op_size));
    }
    cpu.push(sp, insn.op_size, frame);
  }
  sp = (sp - local_bytes) & cpu.stack_mask;
  // The manuals check a write at the final stack pointer.
  cpu.probe_write(cpu.linear(SS, sp, insn.op_size, Access::Write), insn.op_size, SS);
  cpu.set_stack_pointer(sp);
  cpu.set_reg_sized(RBP * 8, insn.op_size, frame);
}

}  // namespace

Handler select_stack(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  const auto& first = decoded.operands[0];
  const bool segment_register =
      first.type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(first.reg.value) == ZYDIS_REGCLASS_SEGMENT;
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_PUSH:
      if (segment_register) return select_segment(cpu, decoded, insn);
      if (first.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) return push_imm;
      if (insn.has_mem) return by_size_no_byte<PushMem>(insn.op_size);
      insn.reg = slot_of(first.reg.value);
      return push_reg;
    case ZYDIS_MNEMONIC_POP:
      if (segment_register) return select_segment(cpu, decoded, insn);
      if (insn.has_mem) return by_size_no_byte<PopMem>(insn.op_size);
      insn.reg = slot_of(first.reg.value);
      return pop_reg;
    case ZYDIS_MNEMONIC_PUSHA:
    case ZYDIS_MNEMONIC_PUSHAD:
      return push_all;
    case ZYDIS_MNEMONIC_POPA:
    case ZYDIS_MNEMONIC_POPAD:
      return pop_all;
    case ZYDIS_MNEMONIC_LEAVE:
      return leave;
    case ZYDIS_MNEMONIC_ENTER:
      insn.imm = first.imm.value.u | (decoded.operands[1].imm.value.u << 16);
      return enter;
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
