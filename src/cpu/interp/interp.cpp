#include "cpu/interp/interp.h"

#include <optional>

#include "base/log.h"
#include "cpu/interp/block_cache.h"
#include "cpu/interp/cpu.h"
#include "cpu/interp/debug.h"
#include "cpu/interp/decode.h"
#include "cpu/interp/host_exec.h"
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// Classes of SDM 3A table 6-4: which second fault makes a double fault.
enum class FaultClass : u8 { Benign, Contributory, PageFault, DoubleFault };

FaultClass class_of(Vector vector) {
  switch (vector) {
    case Vector::DE:
    case Vector::TS:
    case Vector::NP:
    case Vector::SS:
    case Vector::GP:
      return FaultClass::Contributory;
    case Vector::PF:
      return FaultClass::PageFault;
    case Vector::DF:
      return FaultClass::DoubleFault;
    default:
      return FaultClass::Benign;
  }
}

}  // namespace

class Interpreter final : public vm::Vcpu {
 public:
  explicit Interpreter(const vm::VcpuSetup& setup) : cpu_(setup), blocks_(setup.memory) {
    cpu_.apic.set_wake([this] { wake(); });
    if (auto done = set_state(reset_state(setup.id == 0, setup.id)); !done) log::error("{}", done.error().message);
  }

  unsigned id() const override { return cpu_.id; }
  vm::Exit run() override;
  vm::Exit step();
  void kick() override {
    kicked_.store(true, std::memory_order_release);
    wake();
  }
  CpuState state() override;
  Result<> set_state(const CpuState& state) override;

 private:
  void wake() {
    cpu_.attention.store(true, std::memory_order_release);
    cpu_.attention.notify_one();
  }

  // The run loop's parts; each leaves the CPU at an instruction boundary.
  void run_blocks();
  void run_block(const Block& block);
  void run_one();         ///< exactly one instruction, with debug and shadow rules
  void execute_at_rip();  ///< fetch, decode, execute one
  const Block* block_at_rip();
  void flush_if_wanted();
  bool attend();  ///< events; false: return to the caller, kicked
  void take_interrupt();
  void wait();
  void deliver_fault();
  void deliver_event(u8 vector, EventKind kind);
  void start_up(const vm::LocalApic::Signals& signals);

  Cpu cpu_;
  BlockCache blocks_;
  std::atomic<bool> kicked_{false};
  /// The class of the event being delivered, for double faults; empty when none is.
  std::optional<FaultClass> delivering_;
  Insn single_;  ///< the instruction run outside any block
  bool stepping_ = false;
};

std::unique_ptr<vm::Vcpu> make_interpreter(const vm::VcpuSetup& setup) { return std::make_unique<Interpreter>(setup); }

vm::Exit step(vm::Vcpu& vcpu) { return static_cast<Interpreter&>(vcpu).step(); }

// --- The run loop
// ---------------------------------------------------------------------------------------------------------------

vm::Exit Interpreter::run() {
  if (_setjmp(cpu_.fault_exit) != 0) deliver_fault();
  for (;;) {
    if (cpu_.shutdown) {
      cpu_.shutdown = false;
      return {vm::ExitReason::TripleFault, {}};
    }
    if (cpu_.attention.exchange(false, std::memory_order_acquire) && !attend()) return {vm::ExitReason::Kicked, {}};
    if (cpu_.shutdown) continue;
    if (cpu_.event.activity != Activity::Running) {
      wait();
    } else if (cpu_.careful || (cpu_.event.interrupt_shadow && cpu_.interrupts_held)) {
      run_one();  // what waits is delivered after exactly one instruction: STI; NOP; CLI is a window
    } else {
      run_blocks();
    }
  }
}

vm::Exit Interpreter::step() {
  stepping_ = true;
  if (_setjmp(cpu_.fault_exit) != 0) {
    deliver_fault();
  } else {
    run_one();
  }
  stepping_ = false;
  if (!cpu_.shutdown) return {vm::ExitReason::Kicked, {}};
  cpu_.shutdown = false;
  return {vm::ExitReason::TripleFault, {}};
}

void Interpreter::run_blocks() {
  while (!cpu_.attention.load(std::memory_order_relaxed)) {
    const Block* block = block_at_rip();
    cpu_.event.interrupt_shadow = false;  // nothing waits: what comes from now on comes after the shadow
    if (block == nullptr) {
      execute_at_rip();
    } else {
      run_block(*block);
    }
    if (cpu_.halt_requested) {
      cpu_.halt_requested = false;
      cpu_.event.activity = Activity::Halted;
      return;
    }
    if (cpu_.careful) return;
  }
}

void Interpreter::run_block(const Block& block) {
  cpu_.block_ended = false;
  const Insn* insn = block.begin();
  const Insn* const end = insn + block.count;
  do {
    cpu_.next_rip = cpu_.rip + insn->length;
    insn->handler(cpu_, *insn);
    cpu_.rip = cpu_.next_rip;
    ++insn;
  } while (insn != end && !cpu_.block_ended);
}

void Interpreter::run_one() {
  const bool shadow = cpu_.event.interrupt_shadow;
  const bool single_step = (cpu_.rflags & rflags::TF) != 0;
  if (cpu_.careful) check_execute_breakpoints(cpu_);
  cpu_.event.interrupt_shadow = false;
  execute_at_rip();
  if (shadow) cpu_.attention.store(true, std::memory_order_relaxed);
  if (take_debug_trap(cpu_, single_step)) deliver_event(raw(Vector::DB), EventKind::Exception);
  if (cpu_.halt_requested) {
    cpu_.halt_requested = false;
    cpu_.event.activity = Activity::Halted;
  }
}

// --- Fetching
// --------------------------------------------------------------------------------------------------------------------

const Block* Interpreter::block_at_rip() {
  flush_if_wanted();
  cpu_.rip &= cpu_.rip_mask;
  // Never 0, which an empty shortcut has.
  const u64 key = cpu_.tlb_epoch << 8 | raw(cpu_.mode) << 4 | (cpu_.cpl == 3 ? 2 : 0) | 1;
  if (cpu_.code64()) {
    if (const Block* block = blocks_.recall(cpu_.rip, key)) [[likely]]
      return block;
  }
  const u64 va = cpu_.code64() ? cpu_.rip : static_cast<u32>(cpu_.rip + cpu_.sys.segment[CS].base);
  const u8* host = cpu_.tlb.execute(cpu_.execute_view(), va);
  if (host == nullptr) [[unlikely]] {
    if (!cpu_.code64() && cpu_.rip > cpu_.sys.segment[CS].limit) cpu_.raise(Vector::GP, 0);
    const u64 gpa = cpu_.translate(va, Access::Execute, cpu_.cpl == 3, CS);
    host = cpu_.memory.at(gpa, 1);
    if (host == nullptr) return nullptr;
  }
  Block* block = blocks_.find(cpu_, static_cast<u64>(host - cpu_.ram_base_), cpu_.mode);
  if (block == nullptr) return nullptr;
  if (cpu_.code64()) {
    blocks_.remember(cpu_.rip, key, block);
    return block;
  }
  return cpu_.rip + block->bytes - 1 <= cpu_.sys.segment[CS].limit ? block : nullptr;
}

/// Host-execution stubs are referenced from decoded instructions: both go together, and only between instructions.
void Interpreter::flush_if_wanted() {
  if (!cpu_.host_exec->wants_flush) return;
  blocks_.clear();
  cpu_.host_exec->flush();
}

void Interpreter::execute_at_rip() {
  flush_if_wanted();
  cpu_.rip &= cpu_.rip_mask;
  u8 bytes[15];
  unsigned have = 0;
  for (;;) {  // the second page only when the instruction reaches into it
    const u64 offset = cpu_.rip + have;
    const bool beyond = !cpu_.code64() && offset > cpu_.sys.segment[CS].limit;
    if (beyond) cpu_.raise(Vector::GP, 0);
    const u64 va = cpu_.wrap(offset + cpu_.code_base());
    const u64 gpa = cpu_.translate(va, Access::Execute, cpu_.cpl == 3, CS);
    unsigned length = static_cast<unsigned>(std::min<u64>(sizeof bytes - have, kPageSize - (va & kPageMask)));
    if (!cpu_.code64()) length = static_cast<unsigned>(std::min<u64>(length, cpu_.sys.segment[CS].limit - offset + 1));
    if (!cpu_.memory.read(gpa, bytes + have, length)) {  // code in device memory, byte by byte
      for (unsigned i = 0; i < length; ++i) bytes[have + i] = static_cast<u8>(cpu_.io.mmio_read(gpa + i, 1));
    }
    have += length;
    const DecodeStatus status = decode(cpu_, cpu_.mode, {bytes, have}, single_);
    if (status == DecodeStatus::TooLong) cpu_.raise(Vector::GP, 0);
    if (status == DecodeStatus::Ok) break;
  }
  cpu_.block_ended = false;
  cpu_.next_rip = cpu_.rip + single_.length;
  single_.handler(cpu_, single_);
  cpu_.rip = cpu_.next_rip & cpu_.rip_mask;
}

// --- Events
// ----------------------------------------------------------------------------------------------------------------------

bool Interpreter::attend() {
  // First what is in nobody's saved state: a vCPU stopped by a kick has taken it into its own.
  const auto signals = cpu_.apic.take_signals();
  if (signals.nmi) cpu_.event.nmi_pending = true;
  if (signals.init || signals.sipi) start_up(signals);
  if (cpu_.paravirt.take_unhalt()) cpu_.event.pv_unhalt = true;
  if (kicked_.exchange(false, std::memory_order_acquire)) {
    cpu_.attention.store(true, std::memory_order_relaxed);  // whatever else waits is looked at by the next run()
    return false;
  }
  if (cpu_.event.activity == Activity::WaitForSipi) return true;
  if (cpu_.event.activity == Activity::Halted && cpu_.event.pv_unhalt) {
    cpu_.event.pv_unhalt = false;
    cpu_.event.activity = Activity::Running;
  }
  cpu_.interrupts_held = cpu_.event.interrupt_shadow;
  if (cpu_.interrupts_held) return true;
  if (cpu_.event.nmi_pending && !cpu_.event.nmi_blocked) {
    cpu_.event.nmi_pending = false;
    cpu_.event.nmi_blocked = true;
    cpu_.attention.store(true, std::memory_order_relaxed);
    deliver_event(raw(Vector::NMI), EventKind::Nmi);
    return true;
  }
  take_interrupt();
  return true;
}

void Interpreter::take_interrupt() {
  cpu_.paravirt.collect_eoi();
  cpu_.interrupts_held = true;  // until the next look: more than one may wait
  if (!(cpu_.rflags & rflags::IF)) return;
  if (const auto vector = cpu_.apic.pending_vector()) {
    cpu_.apic.accept(*vector);
    cpu_.paravirt.offer_eoi(*vector);
    deliver_event(*vector, EventKind::ExternalInterrupt);
    return;
  }
  if (cpu_.apic.accepts_pic() && cpu_.io.pic_pending())
    deliver_event(cpu_.io.pic_acknowledge(), EventKind::ExternalInterrupt);
}

void Interpreter::start_up(const vm::LocalApic::Signals& signals) {
  CpuState now = state();
  if (signals.init) {
    apply_init(now);
    cpu_.apic.init();
    now.apic = cpu_.apic.state();
    if (cpu_.id == 0) now.event.activity = Activity::Running;  // the bootstrap processor starts at the reset vector
  }
  if (signals.sipi && now.event.activity == Activity::WaitForSipi) apply_sipi(now, *signals.sipi);
  const u64 tsc_offset = cpu_.tsc_offset;  // INIT leaves the counter alone: no time may be lost on the way
  (void)set_state(now);
  cpu_.set_tsc_offset(tsc_offset);
}

void Interpreter::wait() {
  cpu_.paravirt.sleeps();
  cpu_.attention.wait(false, std::memory_order_acquire);
  if (cpu_.paravirt.woke()) cpu_.flush_tlb();
}

void Interpreter::deliver_event(u8 vector, EventKind kind) {
  cpu_.event.activity = Activity::Running;
  cpu_.next_rip = cpu_.rip;
  delivering_ = FaultClass::Benign;
  cpu_.deliver(vector, kind, false, 0);
  delivering_.reset();
  cpu_.rip = cpu_.next_rip;
}

void Interpreter::deliver_fault() {
  SplitLock::release_after_fault();
  Fault fault = cpu_.fault;
  cpu_.halt_requested = false;
  cpu_.event.activity = Activity::Running;
  if (delivering_) {
    const FaultClass second = class_of(fault.vector);
    const bool contributory = *delivering_ == FaultClass::Contributory && second == FaultClass::Contributory;
    const bool after_page_fault = *delivering_ == FaultClass::PageFault &&
                                  (second == FaultClass::Contributory || second == FaultClass::PageFault);
    if (*delivering_ == FaultClass::DoubleFault && second != FaultClass::Benign) {
      delivering_.reset();
      cpu_.shutdown = true;
      return;
    }
    if (contributory || after_page_fault) fault = {.vector = Vector::DF, .has_error = true, .error = 0};
  }
  delivering_ = class_of(fault.vector);
  // Another event may still wait: look again once the handler has been entered.
  cpu_.attention.store(true, std::memory_order_relaxed);
  cpu_.next_rip = cpu_.rip;
  cpu_.deliver(raw(fault.vector), EventKind::Exception, fault.has_error, fault.error);
  delivering_.reset();
  cpu_.rip = cpu_.next_rip;
}

// --- State
// -----------------------------------------------------------------------------------------------------------------------

CpuState Interpreter::state() {
  CpuState out;
  std::copy_n(cpu_.r.begin(), 16, out.regs.gpr.begin());
  out.regs.rip = cpu_.rip & cpu_.rip_mask;
  out.regs.rflags = cpu_.rflags;
  out.sys = cpu_.sys;
  out.sys.tsc = cpu_.read_tsc();
  out.fpu = cpu_.fpu;
  out.event = cpu_.event;
  out.apic = cpu_.apic.state();
  out.paravirt = cpu_.paravirt.state();
  return out;
}

Result<> Interpreter::set_state(const CpuState& in) {
  std::copy_n(in.regs.gpr.begin(), 16, cpu_.r.begin());
  cpu_.r[17] = 0;
  cpu_.rip = in.regs.rip;
  cpu_.rflags = (in.regs.rflags & rflags::kDefined) | rflags::Fixed1;
  cpu_.sys = in.sys;
  cpu_.fpu = in.fpu;
  cpu_.event = in.event;
  cpu_.set_tsc(in.sys.tsc);
  cpu_.apic.set_state(in.apic);
  cpu_.update_apic_page();
  cpu_.paravirt.set_state(in.paravirt);
  cpu_.halt_requested = cpu_.shutdown = false;
  delivering_.reset();
  cpu_.flush_tlb();
  cpu_.update_mode();
  cpu_.attention.store(true, std::memory_order_release);
  return {};
}

}  // namespace vireo::cpu::interp
