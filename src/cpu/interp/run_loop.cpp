#include "cpu/interp/run_loop.h"

#include "base/log.h"
#include "cpu/interp/debug.h"
#include "cpu/interp/decode.h"
#include "cpu/interp/host_exec.h"
#include "cpu/interp/interp.h"
#include "cpu/interp/operands.h"

namespace vireo::cpu::interp {

using namespace vm::x86;

namespace {

/// A benign fault on the way to a handler is delivered in its turn, and may meet itself: #AC on a stack that is not
/// aligned. Processors are lost in that. Here the instruction begins anew after so many, for kicks and interrupts to
/// come through.
constexpr unsigned kMostFailedDeliveries = 16;

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

RunLoop::RunLoop(const vm::VcpuSetup& setup) : cpu_(setup) {
  cpu_.apic.set_wake([this] { wake(); });
  if (auto done = RunLoop::set_state(reset_state(setup.id == 0, setup.id)); !done)
    log::error("{}", done.error().message);
}

void RunLoop::kick() {
  kicked_.store(true, std::memory_order_release);
  wake();
}

void RunLoop::wake() {
  cpu_.attention.store(true, std::memory_order_release);
  cpu_.attention.notify_one();
}

vm::Exit step(vm::Vcpu& vcpu) { return static_cast<RunLoop&>(vcpu).step(); }

// --- The run loop
// ---------------------------------------------------------------------------------------------------------------

vm::Exit RunLoop::run() {
  if (_setjmp(cpu_.fault_exit) != 0) deliver_fault();
  return loop();
}

vm::Exit RunLoop::loop() {
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
      run_code();
    }
  }
}

vm::Exit RunLoop::step() {
  if (_setjmp(cpu_.fault_exit) != 0) {
    deliver_fault();
  } else {
    run_one();
  }
  if (!cpu_.shutdown) return {vm::ExitReason::Kicked, {}};
  cpu_.shutdown = false;
  return {vm::ExitReason::TripleFault, {}};
}

void RunLoop::run_one() {
  const bool shadow = cpu_.event.interrupt_shadow;
  const bool single_step = (cpu_.rflags & rflags::TF) != 0;
  if (cpu_.careful) check_execute_breakpoints(cpu_);
  cpu_.event.interrupt_shadow = false;
  execute_at_rip();
  if (shadow) cpu_.attention.store(true, std::memory_order_relaxed);
  if (take_debug_trap(cpu_, single_step)) deliver_event(raw(Vector::DB), EventKind::Exception);
  take_halt();
}

bool RunLoop::take_halt() {
  if (!cpu_.halt_requested) return false;
  cpu_.halt_requested = false;
  cpu_.event.activity = Activity::Halted;
  return true;
}

/// Host-execution stubs are referenced from decoded instructions: both go together, and only between instructions.
void RunLoop::flush_if_wanted() {
  if (!cpu_.host_exec->wants_flush) return;
  drop_decoded();
  cpu_.host_exec->flush();
}

void RunLoop::execute_at_rip(std::vector<u64>* by_mnemonic) {
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
  if (by_mnemonic != nullptr) ++(*by_mnemonic)[single_.mnemonic];
  cpu_.block_ended = false;
  cpu_.next_rip = cpu_.rip + single_.length;
  single_.handler(cpu_, single_);
  cpu_.rip = cpu_.next_rip & cpu_.rip_mask;
}

// --- Events
// ----------------------------------------------------------------------------------------------------------------------

bool RunLoop::attend() {
  // First what is in nobody's saved state: a vCPU stopped by a kick has taken it into its own.
  const auto signals = cpu_.apic.take_signals();
  if (signals.nmi) cpu_.event.nmi_pending = true;
  if (signals.init || signals.sipi) start_up(signals);
  if (cpu_.paravirt.take_unhalt()) cpu_.event.pv_unhalt = true;
  if (kicked_.exchange(false, std::memory_order_acquire)) {
    ++cpu_.counters.kick;
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
  if (cpu_.event.pic_accepted && (cpu_.rflags & rflags::IF)) {  // by the engine that ran this CPU before
    cpu_.event.pic_accepted = false;
    cpu_.attention.store(true, std::memory_order_relaxed);
    deliver_event(cpu_.event.pic_vector, EventKind::ExternalInterrupt);
    return true;
  }
  take_interrupt();
  return true;
}

void RunLoop::take_interrupt() {
  cpu_.paravirt.collect_eoi();
  if (!(cpu_.rflags & rflags::IF)) {
    cpu_.interrupts_held = cpu_.apic.pending_vector() || (cpu_.apic.accepts_pic() && cpu_.io.pic_pending());
    return;
  }
  if (const auto vector = cpu_.apic.pending_vector()) {
    cpu_.interrupts_held = true;  // until the next look: more than one may wait
    cpu_.apic.accept(*vector);
    cpu_.paravirt.offer_eoi(*vector);
    deliver_event(*vector, EventKind::ExternalInterrupt);
    return;
  }
  if (cpu_.apic.accepts_pic() && cpu_.io.pic_pending()) {
    cpu_.interrupts_held = true;
    deliver_event(cpu_.io.pic_acknowledge(), EventKind::ExternalInterrupt);
  }
}

void RunLoop::start_up(const vm::LocalApic::Signals& signals) {
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

void RunLoop::wait() {
  ++cpu_.counters.halt;
  cpu_.paravirt.sleeps();
  cpu_.attention.wait(false, std::memory_order_acquire);
  if (cpu_.paravirt.woke()) cpu_.flush_tlb();
}

void RunLoop::deliver_event(u8 vector, EventKind kind) {
  auto& count = cpu_.counters;
  ++(kind == EventKind::Nmi ? count.nmis : kind == EventKind::ExternalInterrupt ? count.interrupts : count.exceptions);
  cpu_.event.activity = Activity::Running;
  cpu_.next_rip = cpu_.rip;
  delivering_ = FaultClass::Benign;
  cpu_.deliver(vector, kind, false, 0);
  delivering_.reset();
  cpu_.rip = cpu_.next_rip;
}

void RunLoop::deliver_fault() {
  SplitLock::release_after_fault();
  ++cpu_.counters.exceptions;
  Fault fault = cpu_.fault;
  cpu_.halt_requested = false;
  cpu_.event.activity = Activity::Running;
  failed_deliveries_ = delivering_ ? failed_deliveries_ + 1 : 0;
  if (failed_deliveries_ > kMostFailedDeliveries) {
    delivering_.reset();
    cpu_.attention.store(true, std::memory_order_relaxed);
    return;
  }
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

vm::Stats RunLoop::stats() {
  const auto& count = cpu_.counters;
  return {.counters = {{"interrupts", count.interrupts}, {"nmis", count.nmis}, {"exceptions", count.exceptions}},
          .tables = {{"exits",
                      {{"mmio", count.mmio},
                       {"apic", count.apic},
                       {"port", count.port},
                       {"halt", count.halt},
                       {"kick", count.kick}}},
                     {"tlb_misses", {{"page_walk", count.page_walks}}}}};
}

// --- State
// -----------------------------------------------------------------------------------------------------------------------

CpuState RunLoop::state() {
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

Result<> RunLoop::set_state(const CpuState& in) {
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
