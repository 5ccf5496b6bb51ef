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

}  // namespace

void check_needs(Cpu& cpu, u8 need) {
  if (need & (needs::Avx | needs::Avx512 | needs::Protected)) {
    if (!cpu.protected_mode() || cpu.v86()) cpu.raise(Vector::UD);
    if (need & (needs::Avx | needs::Avx512)) {
      const u64 state = xcr0::SSE | xcr0::AVX | (need & needs::Avx512 ? xcr0::kAvx512 : 0);
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

void check_alignment(Cpu& cpu, Seg seg, u64 offset, unsigned alignment) {
  const u64 base = cpu.code64() && seg < FS ? 0 : cpu.sys.segment[seg].base;
  if ((base + offset) & (alignment - 1)) cpu.raise(Vector::GP, 0);
}

HostExec::HostExec(Cpu& cpu)
    : cpu_(cpu), announced_(announced_isa_sets(cpu.cpuid)), xsave_layout_(x86::XsaveLayout::from(cpu.cpuid)) {
  const auto* leaf = cpu.cpuid.find(7, 0);
  no_x87_selectors_ = leaf != nullptr && (leaf->ebx & bit(13));
  install_host_signal_handlers();
  if (auto created = host::CodeMemory::create(kCodeSize)) {
    code_ = std::move(*created);
  } else {
    static log::Once once;
    if (once.first()) log::error("{}; instructions that need the host's own raise #UD", created.error().message);
  }
}

std::size_t HostExec::Hash::operator()(const HostBytes& bytes) const {
  u64 hash = 0xCBF29CE484222325;
  for (unsigned i = 0; i < bytes.size; ++i) hash = (hash ^ bytes.byte[i]) * 0x100000001B3;
  return hash;
}

const HostInsn* HostExec::find(const DecodedInsn& decoded) {
  StubPlan plan;
  if (!plan_stub(decoded, plan)) return nullptr;
  // Guest RSP goes by another register's name in the rewritten bytes.
  HostBytes key = plan.instruction;
  key.add(plan.regs.rsp_as);
  if (auto found = forms_.find(key); found != forms_.end()) return &found->second;

  if (code_.size() == 0) return nullptr;
  if (code_.size() - used_ < kMaxStubSize) {
    wants_flush = true;
    return nullptr;
  }

  HostInsn form = make_form(decoded, plan);
  form.stub = emit_stub(plan, cpu_, frame_, code_.writable() + used_, code_.executable() + used_);
  used_ += align_up(form.stub.size, 16);
  return &forms_.emplace(key, form).first->second;
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
    if (form.alignment > 1) check_alignment(cpu_, seg, ea, form.alignment);
    va = cpu_.linear(seg, ea, form.memory_size, form.memory_written ? Access::Write : Access::Read);
    if (form.memory_written && cpu_.tlb.write(cpu_.view, va, form.memory_size) == nullptr) {
      cpu_.probe_write(va, form.memory_size, seg);
    }
    if (form.memory_read) fetch(cpu_, va, seg, form.memory_size, frame_.scratch);
  }
  call(form, insn);
  if (form.x87_pointers) set_x87_pointers(form, insn, ea);
  if (form.memory_written) {
    // A store that meets an unmasked x87 exception, precision apart, does not happen (SDM 1 8.5).
    constexpr u16 preventing = 0x1F;
    if (form.x87 && (cpu_.fpu.fsw & ~cpu_.fpu.fcw & preventing)) return;
    put(cpu_, va, seg, form.memory_size, frame_.scratch);
  }
}

void HostExec::call(const HostInsn& form, const Insn& insn) {
  if (form.flags) frame_.flags = cpu_.rflags & rflags::kStatus;
  if (form.x87) load_x87_image();

  set_running_stub(&form.stub.fault);
  const bool done = form.stub.call();
  set_running_stub(nullptr);
  if (!done) fault(form, insn);

  if (form.flags) cpu_.rflags = (cpu_.rflags & ~rflags::kStatus) | (frame_.flags & rflags::kStatus);
  if (form.x87) store_x87_image();
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

void HostExec::store_x87_image() {
  FpuState& fpu = cpu_.fpu;
  const u16 fcw = fpu.fcw, fop = fpu.fop, fcs = fpu.fcs, fds = fpu.fds;
  const u64 fip = fpu.fip, fdp = fpu.fdp;
  store<u16>(frame_.x87, fcw);
  x86::load_fxsave_x87(fpu, x86::PointerFormat::Offset64, frame_.x87);
  fpu.fop = fop, fpu.fcs = fcs, fpu.fds = fds, fpu.fip = fip, fpu.fdp = fdp;
}

void HostExec::set_x87_pointers(const HostInsn& form, const Insn& insn, u64 ea) {
  FpuState& fpu = cpu_.fpu;
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
  if (form.x87) store_x87_image();
  cpu_.raise(cpu_.sys.cr4 & cr4::OSXMMEXCPT ? Vector::XM : Vector::UD);
}

}  // namespace vireo::cpu::interp
