// Instructions on the machine as a whole: CPUID, MSRs, time, HLT, TLB and cache control, bases, XCR0, hypercalls.
// SDM 2A to 2D under each name. What CPUID does not announce raises #UD here.
#include "cpu/interp/system.h"

#include "cpu/interp/operands.h"
#include "cpu/x86/xsave.h"
#include "vm/x86/msr.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

void undefined(Cpu& cpu, const Insn& insn) { cpu.undefined(insn); }
void no_operation(Cpu&, const Insn&) {}

u64 edx_eax(const Cpu& cpu) { return (u64{cpu.reg<u32>(RDX * 8)} << 32) | cpu.reg<u32>(RAX * 8); }
void set_edx_eax(Cpu& cpu, u64 value) {
  cpu.r[RAX] = static_cast<u32>(value);
  cpu.r[RDX] = value >> 32;
}

// --- Time
// ------------------------------------------------------------------------------------------------------------------------

void check_tsc(Cpu& cpu) {
  if ((cpu.sys.cr4 & cr4::TSD) && cpu.cpl != 0) cpu.raise(Vector::GP, 0);
}

void rdtsc(Cpu& cpu, const Insn&) {
  check_tsc(cpu);
  set_edx_eax(cpu, cpu.read_tsc());
}

void rdtscp(Cpu& cpu, const Insn&) {
  check_tsc(cpu);
  set_edx_eax(cpu, cpu.read_tsc());
  cpu.r[RCX] = static_cast<u32>(cpu.sys.tsc_aux);
}

void rdpid(Cpu& cpu, const Insn& insn) { cpu.set_reg_sized(insn.rm, insn.op_size, static_cast<u32>(cpu.sys.tsc_aux)); }

/// There is no performance counter: every index is out of range.
void rdpmc(Cpu& cpu, const Insn&) { cpu.raise(Vector::GP, 0); }

// --- Privileged
// ------------------------------------------------------------------------------------------------------------------

void hlt(Cpu& cpu, const Insn&) {
  require_cpl0(cpu);
  cpu.halt_requested = true;
  cpu.end_block();
}

void clts(Cpu& cpu, const Insn&) {
  require_cpl0(cpu);
  cpu.sys.cr0 &= ~cr0::TS;
  cpu.update_mode();
}

/// INVD, WBINVD: caches are coherent and not modelled.
void cache_control(Cpu& cpu, const Insn&) { require_cpl0(cpu); }

void invlpg(Cpu& cpu, const Insn& insn) {
  require_cpl0(cpu);
  u64 va = cpu.effective_address(insn);  // no limit, type or canonical check
  if (cpu.code64()) {
    if (insn.seg >= FS) va += cpu.sys.segment[insn.seg].base;
  } else {
    va = static_cast<u32>(va + cpu.sys.segment[insn.seg].base);
  }
  cpu.flush_tlb_page(va);
}

void invpcid(Cpu& cpu, const Insn& insn) {
  enum Type : u64 { Address, Context, AllAndGlobal, AllButGlobal };
  require_cpl0(cpu);
  const u64 type = cpu.code64() ? cpu.reg<u64>(insn.reg) : cpu.reg<u32>(insn.reg);
  const auto seg = static_cast<Seg>(insn.seg);
  u8 descriptor[16];
  cpu.read_bytes(cpu.linear(seg, cpu.effective_address(insn), sizeof descriptor, Access::Read), descriptor,
                 sizeof descriptor, seg);
  const u64 pcid = load<u64>(descriptor), va = load<u64>(descriptor + 8);
  if (type > AllButGlobal || (pcid >> 12) != 0) cpu.raise(Vector::GP, 0);
  if (type <= Context && !(cpu.sys.cr4 & cr4::PCIDE) && pcid != 0) cpu.raise(Vector::GP, 0);
  if (type == Address && !x86::is_canonical(va)) cpu.raise(Vector::GP, 0);
  // The TLB holds the current PCID alone; flushing more than asked is allowed.
  switch (type) {
    case Address:
      return cpu.flush_tlb_page(va);
    case AllAndGlobal:
      return cpu.flush_tlb();
    default:
      return cpu.flush_tlb_non_global();
  }
}

// --- FS, GS, XCR0
// ----------------------------------------------------------------------------------------------------------------

void swapgs(Cpu& cpu, const Insn& insn) {
  if (!cpu.code64()) cpu.undefined(insn);
  require_cpl0(cpu);
  std::swap(cpu.sys.segment[GS].base, cpu.sys.kernel_gs_base);
}

void check_fsgsbase(Cpu& cpu, const Insn& insn) {
  if (!cpu.code64() || !(cpu.sys.cr4 & cr4::FSGSBASE)) cpu.undefined(insn);
}

template <Seg kSeg>
void read_base(Cpu& cpu, const Insn& insn) {
  check_fsgsbase(cpu, insn);
  cpu.set_reg_sized(insn.rm, insn.op_size, cpu.sys.segment[kSeg].base);
}

template <Seg kSeg>
void write_base(Cpu& cpu, const Insn& insn) {
  check_fsgsbase(cpu, insn);
  const u64 base = cpu.reg_sized(insn.rm, insn.op_size);
  if (!x86::is_canonical(base)) cpu.raise(Vector::GP, 0);
  cpu.sys.segment[kSeg].base = base;
}

void xgetbv(Cpu& cpu, const Insn& insn) {
  if (!(cpu.sys.cr4 & cr4::OSXSAVE)) cpu.undefined(insn);
  const u32 index = cpu.reg<u32>(RCX * 8);
  if (index > 1) cpu.raise(Vector::GP, 0);
  set_edx_eax(cpu, index == 0 ? cpu.sys.xcr0 : cpu.sys.xcr0 & x86::components_in_use(cpu.fpu));
}

void xsetbv(Cpu& cpu, const Insn& insn) {
  if (!(cpu.sys.cr4 & cr4::OSXSAVE)) cpu.undefined(insn);
  require_cpl0(cpu);
  const u64 value = edx_eax(cpu);
  const CpuidLeaf* announced = cpu.cpuid.find(0xD, 0);
  const u64 possible = announced != nullptr ? (u64{announced->edx} << 32) | announced->eax : xcr0::X87;
  if (cpu.reg<u32>(RCX * 8) != 0 || (value & ~possible) || !xcr0::is_consistent(value)) cpu.raise(Vector::GP, 0);
  cpu.sys.xcr0 = value;
  cpu.update_mode();
}

// --- Hypercalls, cache lines
// -----------------------------------------------------------------------------------------------------

void hypercall(Cpu& cpu, const Insn&) {
  constexpr u64 kNotPermitted = ~u64{0};  // -KVM_EPERM
  const u64 mask = cpu.code64() ? ~u64{0} : 0xFFFFFFFF;
  u64 result = kNotPermitted;
  if (cpu.cpl == 0) {
    result = cpu.paravirt.hypercall(cpu.r[RAX] & mask, cpu.r[RBX] & mask, cpu.r[RCX] & mask, cpu.r[RDX] & mask,
                                    cpu.r[RSI] & mask);
  }
  cpu.r[RAX] = result & mask;
  cpu.recheck_interrupts();
}

/// CLFLUSH and its kin are checked like a load of one byte but do not touch a device.
void flush_line(Cpu& cpu, const Insn& insn) {
  const auto seg = static_cast<Seg>(insn.seg);
  const u64 va = cpu.linear(seg, cpu.effective_address(insn), 1, Access::Read);
  if (cpu.tlb.read(cpu.view, va, 1) != nullptr) return;
  const auto t = x86::walk(cpu.memory, cpu.paging_context(cpu.cpl == 3), va, Access::Read);
  if (!t.ok) cpu.raise_page_fault(va, t.error_code);
}

Handler select_prefetch_or_fence(ZydisMnemonic mnemonic) {
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_LFENCE:
    case ZYDIS_MNEMONIC_SFENCE:
    case ZYDIS_MNEMONIC_PREFETCH:
    case ZYDIS_MNEMONIC_PREFETCHW:
    case ZYDIS_MNEMONIC_PREFETCHWT1:
    case ZYDIS_MNEMONIC_PREFETCHNTA:
    case ZYDIS_MNEMONIC_PREFETCHT0:
    case ZYDIS_MNEMONIC_PREFETCHT1:
    case ZYDIS_MNEMONIC_PREFETCHT2:
    case ZYDIS_MNEMONIC_ENDBR32:
    case ZYDIS_MNEMONIC_ENDBR64:
    case ZYDIS_MNEMONIC_RDSSPD:
    case ZYDIS_MNEMONIC_RDSSPQ:
      return no_operation;
    default:
      return nullptr;
  }
}

/// Fences between vCPUs that are host threads have to be fences on the host too.
void memory_fence(Cpu&, const Insn&) { std::atomic_thread_fence(std::memory_order_seq_cst); }

}  // namespace

Handler select_system(Cpu&, const DecodedInsn& decoded, Insn& insn) {
  const ZydisMnemonic mnemonic = decoded.instruction.mnemonic;
  if (const Handler handler = select_flags(decoded, insn)) return handler;
  switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
      return select_control_register(decoded, insn);
    case ZYDIS_MNEMONIC_CPUID:
      return cpuid;
    case ZYDIS_MNEMONIC_RDMSR:
      return rdmsr;
    case ZYDIS_MNEMONIC_WRMSR:
      return wrmsr;
    case ZYDIS_MNEMONIC_RDTSC:
      return rdtsc;
    case ZYDIS_MNEMONIC_RDTSCP:
      return rdtscp;
    case ZYDIS_MNEMONIC_RDPMC:
      return rdpmc;
    case ZYDIS_MNEMONIC_RDPID:
      insn.op_size = decoded.mode == CodeMode::Bits64 ? 8 : 4;
      return rdpid;
    case ZYDIS_MNEMONIC_HLT:
      return hlt;
    case ZYDIS_MNEMONIC_CLTS:
      return clts;
    case ZYDIS_MNEMONIC_INVD:
    case ZYDIS_MNEMONIC_WBINVD:
      return cache_control;
    case ZYDIS_MNEMONIC_INVLPG:
      return invlpg;
    case ZYDIS_MNEMONIC_INVPCID:
      return invpcid;
    case ZYDIS_MNEMONIC_SWAPGS:
      return swapgs;
    case ZYDIS_MNEMONIC_RDFSBASE:
      return read_base<FS>;
    case ZYDIS_MNEMONIC_RDGSBASE:
      return read_base<GS>;
    case ZYDIS_MNEMONIC_WRFSBASE:
      return write_base<FS>;
    case ZYDIS_MNEMONIC_WRGSBASE:
      return write_base<GS>;
    case ZYDIS_MNEMONIC_XGETBV:
      return xgetbv;
    case ZYDIS_MNEMONIC_XSETBV:
      return xsetbv;
    case ZYDIS_MNEMONIC_VMCALL:
    case ZYDIS_MNEMONIC_VMMCALL:
      return hypercall;
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
      return flush_line;
    case ZYDIS_MNEMONIC_MFENCE:
      return memory_fence;
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_RSM:
    case ZYDIS_MNEMONIC_MONITOR:
    case ZYDIS_MNEMONIC_MWAIT:
    case ZYDIS_MNEMONIC_SERIALIZE:
      return undefined;
    default:
      return select_prefetch_or_fence(mnemonic);
  }
}

}  // namespace vireo::cpu::interp
