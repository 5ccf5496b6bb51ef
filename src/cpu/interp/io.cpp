// Port I/O (SDM 1 chapter 18, SDM 2A IN, OUT, INS, OUTS).
#include "cpu/interp/debug.h"
#include "cpu/interp/select.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// CPL above IOPL, and virtual-8086 mode always, need the TSS's I/O permission bitmap (SDM 1 18.5.2).
void check_permission(Cpu& cpu, u16 port, unsigned size) {
  if (!cpu.protected_mode() || (cpu.cpl <= cpu.iopl() && !cpu.v86())) return;
  constexpr unsigned kIoMapBase = 0x66;
  const Segment& tr = cpu.sys.segment[TR];
  const bool wide = tr.type() & 8;  // a 16-bit TSS has no bitmap
  if (!wide || kIoMapBase + 1 > tr.limit) cpu.raise(Vector::GP, 0);
  const u64 at = cpu.read_system(tr.base + kIoMapBase, 2) + port / 8;
  if (at + 1 > tr.limit) cpu.raise(Vector::GP, 0);  // the byte after the bitmap belongs to it
  const u64 denied = cpu.read_system(tr.base + at, 2) >> (port % 8);
  if (denied & ((1u << size) - 1)) cpu.raise(Vector::GP, 0);
}

u32 port_in(Cpu& cpu, u16 port, unsigned size) {
  note_port_access(cpu, port, size);
  ++cpu.counters.port;
  return cpu.io.port_read(port, static_cast<u8>(size));
}

void port_out(Cpu& cpu, u16 port, unsigned size, u32 value) {
  note_port_access(cpu, port, size);
  ++cpu.counters.port;
  cpu.io.port_write(port, static_cast<u8>(size), value);
}

/// DX, or the immediate that select_io left in insn.imm.
template <bool kImmediate>
u16 port_of(const Cpu& cpu, const Insn& insn) {
  return kImmediate ? static_cast<u8>(insn.imm) : cpu.reg<u16>(RDX * 8);
}

template <bool kImmediate>
void in(Cpu& cpu, const Insn& insn) {
  const u16 port = port_of<kImmediate>(cpu, insn);
  check_permission(cpu, port, insn.op_size);
  cpu.set_reg_sized(RAX * 8, insn.op_size, port_in(cpu, port, insn.op_size));
}

template <bool kImmediate>
void out(Cpu& cpu, const Insn& insn) {
  const u16 port = port_of<kImmediate>(cpu, insn);
  check_permission(cpu, port, insn.op_size);
  port_out(cpu, port, insn.op_size, static_cast<u32>(cpu.reg_sized(RAX * 8, insn.op_size)));
}

u64 index_register(const Cpu& cpu, Gpr reg, unsigned size) { return cpu.r[reg] & mask_for_size(size); }

void advance(Cpu& cpu, Gpr reg, const Insn& insn) {
  const u64 step = cpu.rflags & rflags::DF ? u64{0} - insn.op_size : insn.op_size;
  cpu.set_reg_sized(static_cast<RegSlot>(reg * 8), insn.addr_size, cpu.r[reg] + step);
}

void ins_once(Cpu& cpu, const Insn& insn, u16 port) {
  const u64 va = cpu.linear(ES, index_register(cpu, RDI, insn.addr_size), insn.op_size, Access::Write);
  cpu.probe_write(va, insn.op_size, ES);  // the port is read only once the store cannot fault
  const u32 value = port_in(cpu, port, insn.op_size);
  switch (insn.op_size) {
    case 1:
      cpu.write_linear<u8>(va, static_cast<u8>(value), ES);
      break;
    case 2:
      cpu.write_linear<u16>(va, static_cast<u16>(value), ES);
      break;
    default:
      cpu.write_linear<u32>(va, value, ES);
      break;
  }
  advance(cpu, RDI, insn);
}

void outs_once(Cpu& cpu, const Insn& insn, u16 port) {
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 offset = index_register(cpu, RSI, insn.addr_size);
  u32 value;
  switch (insn.op_size) {
    case 1:
      value = cpu.read<u8>(seg, offset);
      break;
    case 2:
      value = cpu.read<u16>(seg, offset);
      break;
    default:
      value = cpu.read<u32>(seg, offset);
      break;
  }
  port_out(cpu, port, insn.op_size, value);
  advance(cpu, RSI, insn);
}

/// With a REP prefix: registers are up to date after every iteration, so a fault or an interrupt resumes where it
/// stopped.
template <void (*kOnce)(Cpu&, const Insn&, u16)>
void string_io(Cpu& cpu, const Insn& insn) {
  const u16 port = cpu.reg<u16>(RDX * 8);
  check_permission(cpu, port, insn.op_size);  // even for no iteration at all, as processors do
  if (insn.rep == 0) return kOnce(cpu, insn, port);
  u64 count = index_register(cpu, RCX, insn.addr_size);
  if (count == 0) return;
  while (true) {
    kOnce(cpu, insn, port);
    cpu.set_reg_sized(RCX * 8, insn.addr_size, --count);
    if (count == 0) return;
    if (cpu.careful || cpu.attention.load(std::memory_order_relaxed)) break;
  }
  cpu.next_rip = cpu.rip;
  cpu.end_block();
}

}  // namespace

Handler select_io(Cpu&, const DecodedInsn& decoded, Insn& insn) {
  const ZydisDecodedInstruction& instruction = decoded.instruction;
  const auto is_immediate = [&](unsigned i) { return decoded.operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE; };
  switch (instruction.mnemonic) {
    case ZYDIS_MNEMONIC_IN:
      insn.op_size = static_cast<u8>(decoded.operands[0].size / 8);
      return is_immediate(1) ? in<true> : in<false>;
    case ZYDIS_MNEMONIC_OUT:
      insn.op_size = static_cast<u8>(decoded.operands[1].size / 8);
      return is_immediate(0) ? out<true> : out<false>;
    case ZYDIS_MNEMONIC_INSB:
      insn.op_size = 1;
      return string_io<ins_once>;
    case ZYDIS_MNEMONIC_INSW:
      insn.op_size = 2;
      return string_io<ins_once>;
    case ZYDIS_MNEMONIC_INSD:
      insn.op_size = 4;
      return string_io<ins_once>;
    case ZYDIS_MNEMONIC_OUTSB:
      insn.op_size = 1;
      return string_io<outs_once>;
    case ZYDIS_MNEMONIC_OUTSW:
      insn.op_size = 2;
      return string_io<outs_once>;
    case ZYDIS_MNEMONIC_OUTSD:
      insn.op_size = 4;
      return string_io<outs_once>;
    default:
      return nullptr;
  }
}

}  // namespace vireo::cpu::interp
