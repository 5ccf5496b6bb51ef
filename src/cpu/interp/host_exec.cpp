#include "cpu/interp/host_exec.h"

#include <signal.h>

#include "base/log.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

constexpr u64 kCodeSize = kMiB;

/// Reads the memory operand in one host access where it is inside a page of RAM.
void fetch(Cpu& cpu, u64 va, Seg seg, unsigned size, u8* to) {
  if (const u8* host = cpu.tlb.read(cpu.view, va, size)) [[likely]] {
    switch (size) {
      case 1:
        *to = *host;
        return;
      case 2:
        store(to, load<u16>(host));
        return;
      case 4:
        store(to, load<u32>(host));
        return;
      case 8:
        store(to, load<u64>(host));
        return;
      case 16:
        store(to, load<u128>(host));
        return;
      default:
        std::memcpy(to, host, size);
        return;
    }
  }
  cpu.read_bytes(va, to, size, seg);
}

void put(Cpu& cpu, u64 va, Seg seg, unsigned size, const u8* from) {
  if (u8* host = cpu.tlb.write(cpu.view, va, size)) [[likely]] {
    switch (size) {
      case 1:
        *host = *from;
        break;
      case 2:
        store(host, load<u16>(from));
        break;
      case 4:
        store(host, load<u32>(from));
        break;
      case 8:
        store(host, load<u64>(from));
        break;
      case 16:
        store(host, load<u128>(from));
        break;
      default:
        std::memcpy(host, from, size);
        break;
    }
    cpu.written(host, size);
    return;
  }
  cpu.write_bytes(va, from, size, seg);
}

void run_host(Cpu& cpu, const Insn& insn) { cpu.host_exec->run(*static_cast<const HostInsn*>(insn.data), insn); }

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

bool is_x87_set(ZydisISASet set) {
  return set == ZYDIS_ISA_SET_X87 || set == ZYDIS_ISA_SET_FCMOV || set == ZYDIS_ISA_SET_SSE3X87 ||
         set == ZYDIS_ISA_SET_PPRO;
}

/// Legacy SSE memory operands of 16 bytes are aligned, with these exceptions (SDM 2A 2.4, type 4 note; AMD: the same).
bool may_be_unaligned(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM:
      return true;
    default:
      return false;
  }
}

bool is_aligned_vex(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
      return true;
    default:
      return false;
  }
}

u8 alignment_of(const DecodedInsn& decoded, const HostRegs& regs) {
  if (regs.memory_size < 16) return 1;
  const auto mnemonic = decoded.instruction.mnemonic;
  if (decoded.instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
    return is_aligned_vex(mnemonic) ? regs.memory_size : u8{1};
  }
  return may_be_unaligned(mnemonic) ? u8{1} : u8{16};
}

/// Reads or sets MXCSR: any floating-point operand, moves and bitwise logic apart.
bool uses_mxcsr(const DecodedInsn& decoded) {
  switch (decoded.instruction.meta.category) {
    case ZYDIS_CATEGORY_DATAXFER:
    case ZYDIS_CATEGORY_LOGICAL_FP:
    case ZYDIS_CATEGORY_BROADCAST:
      return false;
    default:
      break;
  }
  for (unsigned i = 0; i < decoded.instruction.operand_count; ++i) {
    switch (decoded.operands[i].element_type) {
      case ZYDIS_ELEMENT_TYPE_FLOAT16:
      case ZYDIS_ELEMENT_TYPE_FLOAT32:
      case ZYDIS_ELEMENT_TYPE_FLOAT64:
        return true;
      default:
        break;
    }
  }
  return false;
}

bool uses_flags(const ZydisDecodedInstruction& instruction) {
  const auto* flags = instruction.cpu_flags;
  return flags != nullptr &&
         ((flags->tested | flags->modified | flags->set_0 | flags->set_1 | flags->undefined) & rflags::kStatus) != 0;
}

u8 needs_of(const DecodedInsn& decoded, const HostRegs& regs) {
  const auto& instruction = decoded.instruction;
  if (is_x87_set(instruction.meta.isa_set)) return needs::X87 | needs::NoPendingX87;
  if (instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
    return regs.vector_used != 0 ? needs::Avx : needs::Protected;
  }
  u8 need = 0;
  if (regs.vector_used != 0) need |= needs::Sse;
  if (regs.mmx) need |= needs::Mmx | needs::NoPendingX87;
  return need;
}

/// CVTPI2PS and CVTPI2PD switch to MMX, or not, even with a memory operand: the host knows.
bool converts_mmx(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_CVTPI2PS || mnemonic == ZYDIS_MNEMONIC_CVTPI2PD;
}

/// FNOP's relatives that were coprocessor control on the 8087 and 287.
bool is_x87_control_nop(ZydisMnemonic mnemonic) {
  return mnemonic == ZYDIS_MNEMONIC_FENI8087_NOP || mnemonic == ZYDIS_MNEMONIC_FDISI8087_NOP ||
         mnemonic == ZYDIS_MNEMONIC_FSETPM287_NOP;
}

/// The last-opcode register's value: the low three bits of the first opcode byte and the second (SDM 1 8.1.9).
u64 x87_opcode(const DecodedInsn& decoded) {
  const unsigned at = decoded.instruction.raw.modrm.offset;
  return (decoded.bytes[at - 1] & 7u) << 8 | decoded.bytes[at];
}

}  // namespace

void check_needs(Cpu& cpu, u8 need) {
  if (need & (needs::Avx | needs::Protected)) {
    if (!cpu.protected_mode() || cpu.v86()) cpu.raise(Vector::UD);
    if (need & needs::Avx) {
      constexpr u64 state = xcr0::SSE | xcr0::AVX;
      if (!(cpu.sys.cr4 & cr4::OSXSAVE) || (cpu.sys.xcr0 & state) != state) cpu.raise(Vector::UD);
      if (cpu.sys.cr0 & cr0::TS) cpu.raise(Vector::NM);
    }
    return;
  }
  if ((need & needs::Sse) && !(cpu.sys.cr4 & cr4::OSFXSR)) cpu.raise(Vector::UD);
  if (cpu.fpu_blocked && (need & (needs::X87 | needs::Mmx | needs::Sse))) {
    if ((cpu.sys.cr0 & cr0::EM) && !(need & needs::X87)) cpu.raise(Vector::UD);
    cpu.raise(Vector::NM);
  }
  if ((need & needs::NoPendingX87) && x87_pending(cpu.fpu) && (cpu.sys.cr0 & cr0::NE)) cpu.raise(Vector::MF);
}

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
  return run_host;
}

HostExec::HostExec(Cpu& cpu)
    : cpu_(cpu), announced_(announced_isa_sets(cpu.cpuid)), xsave_layout_(x86::XsaveLayout::from(cpu.cpuid)) {
  const auto* leaf = cpu.cpuid.find(7, 0);
  no_x87_selectors_ = leaf != nullptr && (leaf->ebx & bit(13));
  install_host_signal_handlers();
}

std::size_t HostExec::Hash::operator()(const HostBytes& bytes) const {
  u64 hash = 0xCBF29CE484222325;
  for (unsigned i = 0; i < bytes.size; ++i) hash = (hash ^ bytes.byte[i]) * 0x100000001B3;
  return hash;
}

const HostInsn* HostExec::find(const DecodedInsn& decoded) {
  StubPlan plan;
  if (!assign_registers(decoded, plan.regs)) return nullptr;
  if (decoded.instruction.mnemonic == ZYDIS_MNEMONIC_EMMS) plan.regs.mmx = true;
  plan.instruction = rewrite(decoded, plan.regs);
  if (auto found = forms_.find(plan.instruction); found != forms_.end()) return &found->second;

  if (code_.size() == 0) {
    auto created = host::CodeMemory::create(kCodeSize);
    if (!created) {
      static log::Once once;
      if (once.first()) log::error("{}; instructions that need the host's own raise #UD", created.error().message);
      return nullptr;
    }
    code_ = std::move(*created);
  }
  if (code_.size() - used_ < kMaxStubSize) {
    wants_flush = true;
    return nullptr;
  }

  const auto& instruction = decoded.instruction;
  const bool x87_instruction = is_x87_set(instruction.meta.isa_set);
  plan.vex = instruction.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
  plan.flags = uses_flags(instruction);
  plan.x87 = x87_instruction || plan.regs.mmx || converts_mmx(instruction.mnemonic);
  plan.mxcsr = !x87_instruction && plan.regs.vector_used != 0 && uses_mxcsr(decoded);

  HostInsn form;
  form.stub = emit_stub(plan, cpu_, frame_, code_.writable() + used_, code_.executable() + used_);
  form.need = needs_of(decoded, plan.regs);
  form.memory_size = plan.regs.memory_size;
  form.memory_read = plan.regs.memory_read;
  form.memory_written = plan.regs.memory_written;
  form.alignment = alignment_of(decoded, plan.regs);
  form.flags = plan.flags;
  form.x87 = plan.x87;
  form.x87_pointers = x87_instruction && !is_x87_control_nop(instruction.mnemonic);
  used_ += align_up(form.stub.size, 16);
  return &forms_.emplace(plan.instruction, form).first->second;
}

void HostExec::flush() {
  forms_.clear();
  used_ = 0;
  wants_flush = false;
}

void HostExec::run(const HostInsn& form, const Insn& insn) {
  check_needs(cpu_, form.need);
  const auto seg = static_cast<Seg>(insn.seg);
  u64 ea = 0;
  u64 va = 0;
  if (form.memory_size != 0) {
    ea = cpu_.effective_address(insn);
    va = cpu_.linear(seg, ea, form.memory_size, form.memory_written ? Access::Write : Access::Read);
    if (va & (form.alignment - 1u)) cpu_.raise(Vector::GP, 0);
    if (form.memory_written && cpu_.tlb.write(cpu_.view, va, form.memory_size) == nullptr) {
      cpu_.probe_write(va, form.memory_size, seg);
    }
    if (form.memory_read) fetch(cpu_, va, seg, form.memory_size, frame_.scratch);
  }
  if (form.flags) frame_.flags = cpu_.rflags & rflags::kStatus;
  if (form.x87) load_x87_image();

  set_running_stub(&form.stub.fault);
  const bool done = form.stub.call();
  set_running_stub(nullptr);
  if (!done) fault(form, insn);

  if (form.flags) cpu_.rflags = (cpu_.rflags & ~rflags::kStatus) | (frame_.flags & rflags::kStatus);
  if (form.x87) store_x87_image(form, insn, ea);
  if (form.memory_written) {
    // A store that meets an unmasked x87 exception, precision apart, does not happen (SDM 1 8.5).
    constexpr u16 preventing = 0x1F;
    if (form.x87 && (cpu_.fpu.fsw & ~cpu_.fpu.fcw & preventing)) return;
    put(cpu_, va, seg, form.memory_size, frame_.scratch);
  }
}

void HostExec::load_x87_image() {
  x86::store_fxsave_x87(cpu_.fpu, x86::PointerFormat::Offset64, frame_.x87);
  store<u32>(frame_.x87 + 24, x86::kMxcsrDefault);
  // With CR0.NE = 0 a pending exception has no effect here; the host must not see it.
  if (x87_pending(cpu_.fpu)) {
    store<u16>(frame_.x87, cpu_.fpu.fcw | 0x3F);
    store<u16>(frame_.x87 + 2, cpu_.fpu.fsw & 0x7F7F);
  }
}

void HostExec::store_x87_image(const HostInsn& form, const Insn& insn, u64 ea) {
  FpuState& fpu = cpu_.fpu;
  const u16 fcw = fpu.fcw, fop = fpu.fop, fcs = fpu.fcs, fds = fpu.fds;
  const u64 fip = fpu.fip, fdp = fpu.fdp;
  store<u16>(frame_.x87, fcw);
  x86::load_fxsave_x87(fpu, x86::PointerFormat::Offset64, frame_.x87);
  fpu.fop = fop, fpu.fcs = fcs, fpu.fds = fds, fpu.fip = fip, fpu.fdp = fdp;
  if (!form.x87_pointers) return;
  const bool selectors = !no_x87_selectors_;
  fpu.fop = static_cast<u16>(insn.imm);
  fpu.fip = cpu_.rip;
  fpu.fcs = selectors ? cpu_.sys.segment[CS].selector : u16{0};
  if (form.memory_size != 0) {
    fpu.fdp = ea;
    fpu.fds = selectors ? cpu_.sys.segment[insn.seg].selector : u16{0};
  }
}

void HostExec::fault(const HostInsn& form, const Insn& insn) {
  if (last_stub_signal() != SIGFPE) cpu_.undefined(insn);
  if (form.x87 && x87_pending(cpu_.fpu)) cpu_.raise(Vector::MF);
  cpu_.raise(cpu_.sys.cr4 & cr4::OSXMMEXCPT ? Vector::XM : Vector::UD);
}

}  // namespace vireo::cpu::interp
