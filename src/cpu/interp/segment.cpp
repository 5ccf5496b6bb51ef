// Instructions on segment registers and descriptor tables (SDM 2A, 2B under each name).
#include "cpu/interp/segment.h"

#include "cpu/interp/select.h"
#include "cpu/interp/system.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// SDM 3A 6.8.3: no interrupt and no debug trap between a load of SS and the next instruction.
void shadow_after_stack_segment(Cpu& cpu) {
  cpu.event.interrupt_shadow = true;
  cpu.debug_shadow = true;
  cpu.update_mode();
}

/// 16 bits from the r/m operand.
u16 read_rm16(Cpu& cpu, const Insn& insn) {
  if (insn.has_mem) return cpu.read<u16>(static_cast<Seg>(insn.seg), cpu.effective_address(insn));
  return cpu.reg<u16>(insn.rm);
}

/// To the r/m operand: 16 bits to memory, zero extended to a register of insn.op_size.
void write_rm16(Cpu& cpu, const Insn& insn, u64 value) {
  if (insn.has_mem) {
    cpu.write<u16>(static_cast<Seg>(insn.seg), cpu.effective_address(insn), static_cast<u16>(value));
  } else {
    cpu.set_reg_sized(insn.rm, insn.op_size, value);
  }
}

// --- MOV, PUSH, POP; insn.imm is the segment register
// ---------------------------------------------------------------------------

void mov_from_segment(Cpu& cpu, const Insn& insn) { write_rm16(cpu, insn, cpu.sys.segment[insn.imm].selector); }

void mov_to_segment(Cpu& cpu, const Insn& insn) {
  const auto seg = static_cast<Seg>(insn.imm);
  load_segment(cpu, seg, read_rm16(cpu, insn));
  if (seg == SS) shadow_after_stack_segment(cpu);
}

void push_segment(Cpu& cpu, const Insn& insn) {
  u64 sp = cpu.stack_pointer();
  cpu.push(sp, insn.op_size, cpu.sys.segment[insn.imm].selector);
  cpu.set_stack_pointer(sp);
}

void pop_segment(Cpu& cpu, const Insn& insn) {
  const auto seg = static_cast<Seg>(insn.imm);
  u64 sp = cpu.stack_pointer();
  const u16 selector = static_cast<u16>(cpu.pop(sp, insn.op_size));
  const Segment loaded = check_data_segment(cpu, seg, selector);
  cpu.set_stack_pointer(sp);
  cpu.sys.segment[seg] = loaded;
  cpu.update_mode();
  if (seg == SS) shadow_after_stack_segment(cpu);
}

/// LDS, LES, LFS, LGS, LSS: offset to the register, selector to segment insn.imm.
void load_far_pointer(Cpu& cpu, const Insn& insn) {
  const auto from = static_cast<Seg>(insn.seg);
  const u64 at = cpu.effective_address(insn);
  u64 offset;
  switch (insn.op_size) {
    case 2:
      offset = cpu.read<u16>(from, at);
      break;
    case 4:
      offset = cpu.read<u32>(from, at);
      break;
    default:
      offset = cpu.read<u64>(from, at);
      break;
  }
  load_segment(cpu, static_cast<Seg>(insn.imm), cpu.read<u16>(from, at + insn.op_size));
  cpu.set_reg_sized(insn.reg, insn.op_size, offset);
}

// --- LAR, LSL, VERR, VERW, ARPL: not in real and virtual-8086 mode
// -------------------------------------------------------------------

void require_selectors(Cpu& cpu, const Insn& insn) {
  if (!cpu.protected_mode() || cpu.v86()) cpu.undefined(insn);
}

void set_zf(Cpu& cpu, bool zf) { cpu.rflags = (cpu.rflags & ~rflags::ZF) | (zf ? rflags::ZF : 0); }

/// The descriptor if it is there and visible at this privilege; system ones only of `system_types` (a bit mask).
std::optional<Descriptor> find_visible(Cpu& cpu, u16 selector, u32 system_types) {
  if (is_null(selector)) return {};
  const auto found = find_descriptor(cpu, selector);
  if (!found) return {};
  if (!found->s() && !((system_types >> found->type()) & 1)) return {};
  const bool conforming = found->is_code() && found->is_conforming();
  if (!conforming && (found->dpl() < cpu.cpl || found->dpl() < rpl_of(selector))) return {};
  return found;
}

constexpr u32 types(std::initializer_list<unsigned> list) {
  u32 mask = 0;
  for (const unsigned type : list) mask |= 1u << type;
  return mask;
}
constexpr u32 kLarTypes = types({1, 2, 3, 4, 5, 9, 11, 12}), kLarTypesLong = types({2, 9, 11, 12});
constexpr u32 kLslTypes = types({1, 2, 3, 9, 11}), kLslTypesLong = types({2, 9, 11});

void lar(Cpu& cpu, const Insn& insn) {
  require_selectors(cpu, insn);
  const auto found = find_visible(cpu, read_rm16(cpu, insn), cpu.long_mode() ? kLarTypesLong : kLarTypes);
  set_zf(cpu, found.has_value());
  if (found) cpu.set_reg_sized(insn.reg, insn.op_size, (found->raw >> 32) & (insn.op_size == 2 ? 0xFF00 : 0xFFFF00));
}

void lsl(Cpu& cpu, const Insn& insn) {
  require_selectors(cpu, insn);
  const auto found = find_visible(cpu, read_rm16(cpu, insn), cpu.long_mode() ? kLslTypesLong : kLslTypes);
  set_zf(cpu, found.has_value());
  if (found) cpu.set_reg_sized(insn.reg, insn.op_size, found->limit());
}

void verr(Cpu& cpu, const Insn& insn) {
  require_selectors(cpu, insn);
  const auto found = find_visible(cpu, read_rm16(cpu, insn), 0);
  set_zf(cpu, found && found->is_readable());
}

void verw(Cpu& cpu, const Insn& insn) {
  require_selectors(cpu, insn);
  const auto found = find_visible(cpu, read_rm16(cpu, insn), 0);
  set_zf(cpu, found && found->is_writable_data());
}

/// Writes only when it raises the RPL: an operand that may only be read is fine otherwise.
void arpl(Cpu& cpu, const Insn& insn) {
  require_selectors(cpu, insn);
  const u16 selector = read_rm16(cpu, insn);
  const unsigned rpl = rpl_of(cpu.reg<u16>(insn.reg));
  const bool raised = rpl_of(selector) < rpl;
  if (raised) {
    const u16 result = static_cast<u16>((selector & ~3u) | rpl);
    if (insn.has_mem) {
      cpu.write<u16>(static_cast<Seg>(insn.seg), cpu.effective_address(insn), result);
    } else {
      cpu.set_reg<u16>(insn.rm, result);
    }
  }
  set_zf(cpu, raised);
}

// --- Descriptor tables
// -----------------------------------------------------------------------------------------------------------------

/// User-mode instruction prevention (CR4.UMIP) of SGDT, SIDT, SLDT, STR and SMSW.
void check_umip(Cpu& cpu) {
  if ((cpu.sys.cr4 & cr4::UMIP) && cpu.cpl != 0) cpu.raise(Vector::GP, 0);
}

template <DescriptorTable SystemRegs::* kTable>
void store_table(Cpu& cpu, const Insn& insn) {
  check_umip(cpu);
  const DescriptorTable& table = cpu.sys.*kTable;
  const auto seg = static_cast<Seg>(insn.seg);
  const unsigned size = cpu.code64() ? 8 : 4;
  u8 image[10];
  store<u16>(image, table.limit);
  store<u64>(image + 2, table.base);
  cpu.write_bytes(cpu.linear(seg, cpu.effective_address(insn), 2 + size, Access::Write), image, 2 + size, seg);
}

template <DescriptorTable SystemRegs::* kTable>
void load_table(Cpu& cpu, const Insn& insn) {
  require_cpl0(cpu);
  const auto seg = static_cast<Seg>(insn.seg);
  const unsigned size = cpu.code64() ? 8 : 4;
  u8 image[10] = {};
  cpu.read_bytes(cpu.linear(seg, cpu.effective_address(insn), 2 + size, Access::Read), image, 2 + size, seg);
  u64 base = load<u64>(image + 2);
  if (size == 4 && insn.op_size == 2) base &= 0xFFFFFF;
  if (!x86::is_canonical(base)) cpu.raise(Vector::GP, 0);
  cpu.sys.*kTable = {.base = base, .limit = load<u16>(image)};
}

template <Seg kSegment>
void store_system_selector(Cpu& cpu, const Insn& insn) {
  require_selectors(cpu, insn);
  check_umip(cpu);
  write_rm16(cpu, insn, cpu.sys.segment[kSegment].selector);
}

/// LDT and TSS descriptors are 16 bytes in long mode.
Segment make_system_segment(Cpu& cpu, u16 selector, const Descriptor& descriptor) {
  Segment segment = make_segment(selector, descriptor);
  if (!cpu.long_mode()) return segment;
  const auto upper = find_upper_half(cpu, selector, descriptor);
  if (!upper || bits(*upper, 40, 5) != 0) cpu.raise(Vector::GP, selector_error(selector));
  segment.base |= *upper << 32;
  if (!x86::is_canonical(segment.base)) cpu.raise(Vector::GP, selector_error(selector));
  return segment;
}

void lldt(Cpu& cpu, const Insn& insn) {
  require_selectors(cpu, insn);
  require_cpl0(cpu);
  const u16 selector = read_rm16(cpu, insn);
  if (is_null(selector)) {
    cpu.sys.segment[LDTR] = null_segment(selector);
    return;
  }
  const u32 error = selector_error(selector);
  if (selector & 4) cpu.raise(Vector::GP, error);
  const Descriptor descriptor = fetch_descriptor(cpu, selector, Vector::GP);
  if (descriptor.s() || descriptor.type() != descriptor::kLdt) cpu.raise(Vector::GP, error);
  if (!descriptor.present()) cpu.raise(Vector::NP, error);
  cpu.sys.segment[LDTR] = make_system_segment(cpu, selector, descriptor);
}

void ltr(Cpu& cpu, const Insn& insn) {
  require_selectors(cpu, insn);
  require_cpl0(cpu);
  const u16 selector = read_rm16(cpu, insn);
  if (is_null(selector)) cpu.raise(Vector::GP, 0);
  const u32 error = selector_error(selector);
  if (selector & 4) cpu.raise(Vector::GP, error);
  const Descriptor descriptor = fetch_descriptor(cpu, selector, Vector::GP);
  const bool known =
      descriptor.type() == descriptor::kTss32 || (descriptor.type() == descriptor::kTss16 && !cpu.long_mode());
  if (descriptor.s() || !known) cpu.raise(Vector::GP, error);
  if (!descriptor.present()) cpu.raise(Vector::NP, error);
  Segment tr = make_system_segment(cpu, selector, descriptor);
  tr.attributes |= descriptor::kBusy;
  cpu.write_system(descriptor.address + 5, 1, tr.attributes & 0xFF);
  cpu.sys.segment[TR] = tr;
}

void smsw(Cpu& cpu, const Insn& insn) {
  check_umip(cpu);
  write_rm16(cpu, insn, cpu.sys.cr0);
}

/// Sets PE, MP, EM and TS; PE cannot be cleared by it.
void lmsw(Cpu& cpu, const Insn& insn) {
  require_cpl0(cpu);
  constexpr u64 kBits = cr0::PE | cr0::MP | cr0::EM | cr0::TS;
  const u64 value = read_rm16(cpu, insn) & kBits;
  load_cr0(cpu, (cpu.sys.cr0 & ~(kBits & ~cr0::PE)) | value);
}

/// The segment register among the operands; kSegments when there is none.
Seg segment_operand(const DecodedInsn& decoded) {
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {
    const ZydisDecodedOperand& operand = decoded.operands[i];
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
    if (ZydisRegisterGetClass(operand.reg.value) != ZYDIS_REGCLASS_SEGMENT) continue;
    return static_cast<Seg>(ZydisRegisterGetId(operand.reg.value));
  }
  return kSegments;
}

}  // namespace

Handler select_segment(Cpu&, const DecodedInsn& decoded, Insn& insn) {
  const ZydisDecodedInstruction& instruction = decoded.instruction;
  insn.op_size = static_cast<u8>(instruction.operand_width / 8);
  switch (instruction.mnemonic) {
    case ZYDIS_MNEMONIC_MOV: {
      const bool to_segment = decoded.operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                              ZydisRegisterGetClass(decoded.operands[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
      insn.imm = segment_operand(decoded);
      if (insn.imm >= kSegmentRegisters || (to_segment && insn.imm == CS)) return nullptr;
      if (!to_segment) insn.op_size = static_cast<u8>(decoded.operands[0].size / 8);
      return to_segment ? mov_to_segment : mov_from_segment;
    }
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_POP: {
      const bool pop = instruction.mnemonic == ZYDIS_MNEMONIC_POP;
      insn.imm = segment_operand(decoded);
      if (insn.imm >= kSegmentRegisters || (pop && insn.imm == CS)) return nullptr;
      // In 64-bit code the stack operand is 8 bytes unless 66 makes it 2.
      if (decoded.mode == CodeMode::Bits64) insn.op_size = insn.op_size == 2 ? 2 : 8;
      return pop ? pop_segment : push_segment;
    }
    case ZYDIS_MNEMONIC_LES:
      insn.imm = ES;
      return load_far_pointer;
    case ZYDIS_MNEMONIC_LDS:
      insn.imm = DS;
      return load_far_pointer;
    case ZYDIS_MNEMONIC_LSS:
      insn.imm = SS;
      return load_far_pointer;
    case ZYDIS_MNEMONIC_LFS:
      insn.imm = FS;
      return load_far_pointer;
    case ZYDIS_MNEMONIC_LGS:
      insn.imm = GS;
      return load_far_pointer;
    case ZYDIS_MNEMONIC_LAR:
      return lar;
    case ZYDIS_MNEMONIC_LSL:
      return lsl;
    case ZYDIS_MNEMONIC_VERR:
      return verr;
    case ZYDIS_MNEMONIC_VERW:
      return verw;
    case ZYDIS_MNEMONIC_ARPL:
      return arpl;
    case ZYDIS_MNEMONIC_SGDT:
      return store_table<&SystemRegs::gdtr>;
    case ZYDIS_MNEMONIC_SIDT:
      return store_table<&SystemRegs::idtr>;
    case ZYDIS_MNEMONIC_LGDT:
      return load_table<&SystemRegs::gdtr>;
    case ZYDIS_MNEMONIC_LIDT:
      return load_table<&SystemRegs::idtr>;
    case ZYDIS_MNEMONIC_SLDT:
    case ZYDIS_MNEMONIC_STR:
    case ZYDIS_MNEMONIC_SMSW:
      insn.op_size = static_cast<u8>(decoded.operands[0].size / 8);
      if (instruction.mnemonic == ZYDIS_MNEMONIC_SMSW) return smsw;
      return instruction.mnemonic == ZYDIS_MNEMONIC_STR ? store_system_selector<TR> : store_system_selector<LDTR>;
    case ZYDIS_MNEMONIC_LLDT:
      return lldt;
    case ZYDIS_MNEMONIC_LTR:
      return ltr;
    case ZYDIS_MNEMONIC_LMSW:
      return lmsw;
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
