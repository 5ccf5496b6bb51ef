// EVEX gathers and scatters (SDM 2C, VGATHERDPS and VSCATTERDPS): element by element, each clears its bit of the mask,
// so that the instruction goes on where a fault stopped it.
#include <algorithm>

#include "cpu/interp/host_exec.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// What the handlers need besides Insn; kept in Insn::imm.
struct GatherForm {
  u8 data = 0, index = 0;  ///< vector registers
  u8 mask = 0;             ///< opmask register
  u8 element_size = 0, index_size = 0;
  u8 count = 0;
  u8 length = 0;  ///< of the longer of both vectors, in bytes
  u8 spare = 0;
};
static_assert(sizeof(GatherForm) == sizeof(u64));

u64 element_offset(const Insn& insn, const GatherForm& form, u64 base, const u8* index, unsigned i) {
  const i64 n = form.index_size == 4 ? load<i32>(index + 4 * i) : load<i64>(index + 8 * i);
  const u64 ea = base + (static_cast<u64>(n) << insn.scale);
  return insn.addr_size == 8 ? ea : ea & mask_for_size(insn.addr_size);
}

template <class T>
void run_gather(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::Avx512);
  const auto form = load<GatherForm>(&insn.imm);
  u8* data = cpu.fpu.zmm[form.data].data();
  const auto clear_from = [data](std::size_t at) { std::memset(data + at, 0, 64 - at); };
  u64& mask = cpu.fpu.opmask[form.mask];
  const u64 base = cpu.effective_address(insn);
  for (unsigned i = 0; i < form.count; ++i) {
    if (!(mask & bit(i))) continue;
    const u64 ea = element_offset(insn, form, base, cpu.fpu.zmm[form.index].data(), i);
    store<T>(data + i * sizeof(T), cpu.read<T>(static_cast<Seg>(insn.seg), ea));
    mask &= ~bit(i);
    clear_from(form.length);  // also when a later element faults, as AMD's processors do
  }
  clear_from(form.count * sizeof(T));
  mask = 0;
}

template <class T>
void run_scatter(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::Avx512);
  const auto form = load<GatherForm>(&insn.imm);
  u64& mask = cpu.fpu.opmask[form.mask];
  const u64 base = cpu.effective_address(insn);
  for (unsigned i = 0; i < form.count; ++i) {
    if (!(mask & bit(i))) continue;
    const u64 ea = element_offset(insn, form, base, cpu.fpu.zmm[form.index].data(), i);
    cpu.write<T>(static_cast<Seg>(insn.seg), ea, load<T>(cpu.fpu.zmm[form.data].data() + i * sizeof(T)));
    mask &= ~bit(i);
  }
  mask = 0;
}

/// The mnemonics' last letters but one: D or Q, the size of the indices.
bool has_wide_index(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_VGATHERQPS:
    case ZYDIS_MNEMONIC_VGATHERQPD:
    case ZYDIS_MNEMONIC_VPGATHERQD:
    case ZYDIS_MNEMONIC_VPGATHERQQ:
    case ZYDIS_MNEMONIC_VSCATTERQPS:
    case ZYDIS_MNEMONIC_VSCATTERQPD:
    case ZYDIS_MNEMONIC_VPSCATTERQD:
    case ZYDIS_MNEMONIC_VPSCATTERQQ:
      return true;
    default:
      return false;
  }
}

}  // namespace

Handler select_evex_gather(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  const auto& instruction = decoded.instruction;
  if (!cpu.host_exec->announced(instruction.meta.isa_set)) return nullptr;
  const bool scatter = instruction.meta.category == ZYDIS_CATEGORY_SCATTER;
  const auto& data = decoded.operands[scatter ? 2 : 0];
  const auto& memory = decoded.operands[scatter ? 0 : 2];
  GatherForm form;
  form.data = static_cast<u8>(ZydisRegisterGetId(data.reg.value));
  form.index = static_cast<u8>(ZydisRegisterGetId(memory.mem.index));
  form.mask = static_cast<u8>(ZydisRegisterGetId(instruction.avx.mask.reg));
  if (form.mask == 0 || (!scatter && form.data == form.index)) return nullptr;
  form.element_size = static_cast<u8>(memory.element_size / 8);
  form.index_size = has_wide_index(instruction.mnemonic) ? 8 : 4;
  form.length = static_cast<u8>(instruction.avx.vector_length / 8);
  form.count = static_cast<u8>(form.length / std::max(form.element_size, form.index_size));
  insn.imm = load<u64>(&form);
  if (form.element_size == 4) return scatter ? run_scatter<u32> : run_gather<u32>;
  return scatter ? run_scatter<u64> : run_gather<u64>;
}

}  // namespace vireo::cpu::interp
