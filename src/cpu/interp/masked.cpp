// Vector instructions whose memory elements are chosen by a mask: masked moves and gathers. They go element by element,
// because an element that is not chosen must not fault.
#include <algorithm>

#include "cpu/interp/host_exec.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// What the handlers need besides Insn; kept in Insn::imm.
struct MaskedForm {
  u8 data = 0;          ///< vector register moved to or from
  u8 mask = 0;          ///< vector register that chooses
  u8 index = 0;         ///< gathers: vector register of indices
  u8 element_size = 0;  ///< in bytes
  u8 index_size = 0;
  u8 count = 0;  ///< elements
  u8 bytes = 0;  ///< of the data register that are defined; a VEX write clears the rest
  bool store = false;
};
static_assert(sizeof(MaskedForm) == sizeof(u64));

MaskedForm form_of(const Insn& insn) { return load<MaskedForm>(&insn.imm); }

u8 vector_number(const ZydisDecodedOperand& operand) { return static_cast<u8>(ZydisRegisterGetId(operand.reg.value)); }

u64 truncate(const Insn& insn, u64 ea) { return insn.addr_size == 8 ? ea : ea & mask_for_size(insn.addr_size); }

u64 element_address(Cpu& cpu, const Insn& insn, const MaskedForm& form, u64 ea, unsigned i, Access access) {
  return cpu.linear(static_cast<Seg>(insn.seg), truncate(insn, ea + u64{i} * form.element_size), form.element_size,
                    access);
}

/// The element's most significant bit.
bool chosen(const u8* mask, unsigned element_size, unsigned i) {
  return mask[i * element_size + element_size - 1] & 0x80;
}

void read_element(Cpu& cpu, u64 va, Seg seg, unsigned size, u8* to) {
  if (size == 4) {
    store(to, cpu.read_linear<u32>(va, seg));
  } else {
    store(to, cpu.read_linear<u64>(va, seg));
  }
}

void write_element(Cpu& cpu, u64 va, Seg seg, unsigned size, const u8* from) {
  if (size == 4) {
    cpu.write_linear<u32>(va, load<u32>(from), seg);
  } else {
    cpu.write_linear<u64>(va, load<u64>(from), seg);
  }
}

void store_chosen(Cpu& cpu, const Insn& insn, const MaskedForm& form, const u8* data, const u8* mask) {
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 ea = cpu.effective_address(insn);
  for (unsigned i = 0; i < form.count; ++i) {
    if (!chosen(mask, form.element_size, i)) continue;
    cpu.probe_write(element_address(cpu, insn, form, ea, i, Access::Write), form.element_size, seg);
  }
  for (unsigned i = 0; i < form.count; ++i) {
    if (!chosen(mask, form.element_size, i)) continue;
    write_element(cpu, element_address(cpu, insn, form, ea, i, Access::Write), seg, form.element_size,
                  data + i * form.element_size);
  }
}

/// VMASKMOVPS/PD and VPMASKMOVD/Q.
void run_masked_move(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::Avx);
  const MaskedForm form = form_of(insn);
  const u8* mask = cpu.fpu.zmm[form.mask].data();
  if (form.store) {
    store_chosen(cpu, insn, form, cpu.fpu.zmm[form.data].data(), mask);
    return;
  }
  std::array<u8, 64> result{};
  const u64 ea = cpu.effective_address(insn);
  for (unsigned i = 0; i < form.count; ++i) {
    if (!chosen(mask, form.element_size, i)) continue;
    read_element(cpu, element_address(cpu, insn, form, ea, i, Access::Read), static_cast<Seg>(insn.seg),
                 form.element_size, result.data() + i * form.element_size);
  }
  cpu.fpu.zmm[form.data] = result;
}

/// Byte masks go to one operand of 8 or 16 bytes that must be writable as a whole, whichever bytes are chosen (the
/// manuals allow it; AMD's processors do it).
void store_bytes(Cpu& cpu, const Insn& insn, const MaskedForm& form, const u8* data, const u8* mask) {
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 va = cpu.linear(seg, cpu.effective_address(insn), form.count, Access::Write);
  cpu.probe_write(va, form.count, seg);
  for (unsigned i = 0; i < form.count; ++i) {
    if (chosen(mask, 1, i)) cpu.write_linear<u8>(va + i, data[i], seg);
  }
}

/// MASKMOVDQU and VMASKMOVDQU: chosen bytes to DS:(R)DI.
void run_byte_mask(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, insn.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU ? needs::Avx : needs::Sse);
  const MaskedForm form = form_of(insn);
  store_bytes(cpu, insn, form, cpu.fpu.zmm[form.data].data(), cpu.fpu.zmm[form.mask].data());
}

/// MASKMOVQ: the same for MMX registers.
void run_byte_mask_mmx(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::Mmx | needs::NoPendingX87);
  const MaskedForm form = form_of(insn);
  FpuState& fpu = cpu.fpu;
  const unsigned top = (fpu.fsw >> 11) & 7;
  store_bytes(cpu, insn, form, fpu.st[(form.data - top) & 7].data(), fpu.st[(form.mask - top) & 7].data());
  x86::set_x87_top(fpu, 0);  // as every MMX instruction
  fpu.ftw = 0xFF;
}

/// Gathers. A fault leaves the elements before it gathered and their mask elements cleared, so that the instruction
/// goes on where it stopped (SDM 2C, VGATHERDPS).
void run_gather(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::Avx);
  const MaskedForm form = form_of(insn);
  u8* data = cpu.fpu.zmm[form.data].data();
  u8* mask = cpu.fpu.zmm[form.mask].data();
  const u8* index = cpu.fpu.zmm[form.index].data();
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 base = cpu.effective_address(insn);
  const unsigned size = form.element_size;
  for (unsigned i = 0; i < form.count; ++i) {
    if (chosen(mask, size, i)) {
      const i64 n = form.index_size == 4 ? load<i32>(index + 4 * i) : load<i64>(index + 8 * i);
      const u64 ea = truncate(insn, base + (static_cast<u64>(n) << insn.scale));
      read_element(cpu, cpu.linear(seg, ea, size, Access::Read), seg, size, data + i * size);
    }
    std::memset(mask + i * size, 0, size);
  }
  std::memset(data + form.bytes, 0, 64u - form.bytes);
  std::memset(mask, 0, 64);
}

Handler select_gather(const DecodedInsn& decoded, MaskedForm& form) {
  const auto& operands = decoded.operands;
  form.data = vector_number(operands[0]);
  form.index = static_cast<u8>(ZydisRegisterGetId(operands[1].mem.index));
  form.mask = vector_number(operands[2]);
  if (form.data == form.index || form.data == form.mask || form.index == form.mask) return nullptr;
  switch (decoded.instruction.mnemonic) {
    case ZYDIS_MNEMONIC_VGATHERDPS:
    case ZYDIS_MNEMONIC_VPGATHERDD:
      form.index_size = 4, form.element_size = 4;
      break;
    case ZYDIS_MNEMONIC_VGATHERDPD:
    case ZYDIS_MNEMONIC_VPGATHERDQ:
      form.index_size = 4, form.element_size = 8;
      break;
    case ZYDIS_MNEMONIC_VGATHERQPS:
    case ZYDIS_MNEMONIC_VPGATHERQD:
      form.index_size = 8, form.element_size = 4;
      break;
    default:
      form.index_size = 8, form.element_size = 8;
      break;
  }
  const unsigned length = decoded.instruction.raw.vex.L != 0 ? 32 : 16;
  form.count = static_cast<u8>(length / std::max(form.index_size, form.element_size));
  form.bytes = static_cast<u8>(form.count * form.element_size);
  return run_gather;
}

Handler select_masked_move(const DecodedInsn& decoded, MaskedForm& form, u8 element_size) {
  const auto& operands = decoded.operands;
  form.store = operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
  form.data = vector_number(operands[form.store ? 2 : 0]);
  form.mask = vector_number(operands[1]);
  form.element_size = element_size;
  form.bytes = decoded.instruction.raw.vex.L != 0 ? 32 : 16;
  form.count = form.bytes / element_size;
  return run_masked_move;
}

/// The memory operand is implied: DS or an override, (R)DI.
Handler select_byte_mask(const DecodedInsn& decoded, MaskedForm& form, Insn& insn, Handler handler) {
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {
    const auto& operand = decoded.operands[i];
    if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
    const int seg = ZydisRegisterGetId(operand.mem.segment);
    insn.seg = seg < 0 ? u8{DS} : static_cast<u8>(seg);
  }
  insn.base = RDI * 8;
  insn.index = kZeroSlot;
  insn.scale = 0;
  insn.disp = 0;
  insn.has_mem = true;
  unsigned found = 0;
  for (unsigned i = 0; i < decoded.instruction.operand_count && found < 2; ++i) {
    const auto& operand = decoded.operands[i];
    if (operand.visibility != ZYDIS_OPERAND_VISIBILITY_EXPLICIT || operand.type != ZYDIS_OPERAND_TYPE_REGISTER)
      continue;
    (found++ == 0 ? form.data : form.mask) = vector_number(operand);
  }
  form.element_size = 1;
  form.count = handler == run_byte_mask_mmx ? 8 : 16;
  return handler;
}

}  // namespace

Handler select_masked(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  const auto& instruction = decoded.instruction;
  if (!cpu.host_exec->announced(instruction.meta.isa_set) || (instruction.attributes & ZYDIS_ATTRIB_HAS_LOCK))
    return nullptr;
  if (instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) return select_evex_gather(cpu, decoded, insn);
  MaskedForm form;
  Handler handler = nullptr;
  switch (instruction.mnemonic) {
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
      handler = select_masked_move(decoded, form, 4);
      break;
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
      handler = select_masked_move(decoded, form, 8);
      break;
    case ZYDIS_MNEMONIC_MASKMOVQ:
      handler = select_byte_mask(decoded, form, insn, run_byte_mask_mmx);
      break;
    case ZYDIS_MNEMONIC_MASKMOVDQU:
    case ZYDIS_MNEMONIC_VMASKMOVDQU:
      handler = select_byte_mask(decoded, form, insn, run_byte_mask);
      break;
    default:
      handler = select_gather(decoded, form);
      break;
  }
  insn.imm = load<u64>(&form);
  return handler;
}

}  // namespace vireo::cpu::interp
