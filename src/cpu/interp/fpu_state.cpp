// x87 and vector state: control and status words, MXCSR, VZEROALL; the large images are in xsave_area.cpp and
// x87_environment.cpp.
#include "cpu/interp/fpu_state.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr u8 kX87Waiting = needs::X87 | needs::NoPendingX87;

template <class T>
T read_memory(Cpu& cpu, const Insn& insn) {
  return cpu.read<T>(static_cast<Seg>(insn.seg), cpu.effective_address(insn));
}

template <class T>
void write_memory(Cpu& cpu, const Insn& insn, T value) {
  cpu.write<T>(static_cast<Seg>(insn.seg), cpu.effective_address(insn), value);
}

u8 mxcsr_needs(const Insn& insn) {
  return insn.mnemonic == ZYDIS_MNEMONIC_VLDMXCSR || insn.mnemonic == ZYDIS_MNEMONIC_VSTMXCSR ? needs::Avx : needs::Sse;
}

void run_ldmxcsr(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, mxcsr_needs(insn));
  const u32 value = read_memory<u32>(cpu, insn);
  if (value & ~x86::kMxcsrMask) cpu.raise(Vector::GP, 0);
  cpu.fpu.mxcsr = value;
}

void run_stmxcsr(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, mxcsr_needs(insn));
  write_memory<u32>(cpu, insn, cpu.fpu.mxcsr);
}

/// VZEROUPPER (keep = 16) and VZEROALL (keep = 0), on the registers the mode has.
template <unsigned keep>
void run_vzero(Cpu& cpu, const Insn&) {
  check_needs(cpu, needs::Avx);
  const unsigned count = cpu.code64() ? 16 : 8;
  for (unsigned i = 0; i < count; ++i) std::memset(cpu.fpu.zmm[i].data() + keep, 0, 64 - keep);
}

void run_fninit(Cpu& cpu, const Insn&) {
  check_needs(cpu, needs::X87);
  init_x87(cpu.fpu);
}

void run_fnclex(Cpu& cpu, const Insn&) {
  check_needs(cpu, needs::X87);
  cpu.fpu.fsw &= 0x7F00;
}

void run_fldcw(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, kX87Waiting);
  set_x87_control(cpu.fpu, read_memory<u16>(cpu, insn));
}

void run_fnstcw(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::X87);
  write_memory<u16>(cpu, insn, cpu.fpu.fcw);
}

void run_fnstsw(Cpu& cpu, const Insn& insn) {
  check_needs(cpu, needs::X87);
  if (insn.has_mem) {
    write_memory<u16>(cpu, insn, cpu.fpu.fsw);
  } else {
    cpu.set_reg<u16>(RAX * 8, cpu.fpu.fsw);
  }
}

void run_fwait(Cpu& cpu, const Insn&) {
  constexpr u64 monitored = cr0::MP | cr0::TS;
  if ((cpu.sys.cr0 & monitored) == monitored) cpu.raise(Vector::NM);
  check_needs(cpu, needs::NoPendingX87);
}

}  // namespace

Handler select_fpu_state(Cpu& cpu, const DecodedInsn& decoded, Insn& insn) {
  const auto& instruction = decoded.instruction;
  if (instruction.attributes & ZYDIS_ATTRIB_HAS_LOCK) return nullptr;
  if (!cpu.host_exec->announced(instruction.meta.isa_set)) return nullptr;
  insn.imm = instruction.operand_width / 8;
  switch (instruction.mnemonic) {
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:
      return run_ldmxcsr;
    case ZYDIS_MNEMONIC_STMXCSR:
    case ZYDIS_MNEMONIC_VSTMXCSR:
      return run_stmxcsr;
    case ZYDIS_MNEMONIC_VZEROUPPER:
      return run_vzero<16>;
    case ZYDIS_MNEMONIC_VZEROALL:
      return run_vzero<0>;
    case ZYDIS_MNEMONIC_FNINIT:
      return run_fninit;
    case ZYDIS_MNEMONIC_FNCLEX:
      return run_fnclex;
    case ZYDIS_MNEMONIC_FLDCW:
      return run_fldcw;
    case ZYDIS_MNEMONIC_FNSTCW:
      return run_fnstcw;
    case ZYDIS_MNEMONIC_FNSTSW:
      return run_fnstsw;
    case ZYDIS_MNEMONIC_FWAIT:
      return run_fwait;
    default:
      break;
  }
  if (Handler handler = xsave_handler(instruction.mnemonic)) return handler;
  return x87_environment_handler(instruction.mnemonic);
}

}  // namespace vireo::cpu::interp
