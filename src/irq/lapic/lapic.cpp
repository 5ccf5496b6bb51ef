#include "irq/lapic/lapic.h"

namespace vireo::irq {

using namespace apic;

Lapic::Lapic(ApicBus& bus, vm::Clock& clock, const LapicSetup& setup)
    : bus_(bus), setup_(setup), timer_(clock, [this] { raise(kTimer); }) {
  set_state(vm::x86::reset_state(setup.bootstrap_processor, setup.id).apic);
  bus.add(*this);
}

void Lapic::set_tsc_offset(u64 offset) {
  run_timer(false);
  timer_.set_tsc_offset(offset);
  run_timer(false);
}

// --- Reset
// -----------------------------------------------------------------------------------------------------------------------

void Lapic::init() {
  if (collect_eoi_) collect_eoi_();
  reset_registers();
  publish_address();
}

/// SDM 3A 11.4.7.1. An id is for life, and an x2APIC's logical id derives from it.
void Lapic::reset_registers() {
  vm::x86::ApicState state = vm::x86::reset_state(setup_.bootstrap_processor, setup_.id).apic;
  state.apic_base = base_;
  state.regs[VERSION] = version_;
  for (auto& word : posted_) word.store(0, std::memory_order_relaxed);
  for (auto& word : posted_level_) word.store(0, std::memory_order_relaxed);
  virtual_wire_.store(false, std::memory_order_relaxed);
  set_state(state);
}

// --- State
// -----------------------------------------------------------------------------------------------------------------------

vm::x86::ApicState Lapic::state() {
  take_in();
  if (collect_eoi_) collect_eoi_();
  run_timer(false);
  vm::x86::ApicState out;
  out.apic_base = base_;
  out.regs[ID] = setup_.id << 24;
  out.regs[VERSION] = version_;
  out.regs[TPR] = tpr_;
  out.regs[PPR] = ppr();
  out.regs[LDR] = ldr_;
  out.regs[DFR] = dfr_;
  out.regs[SVR] = svr_;
  for (unsigned i = 0; i < 8; ++i) {
    out.regs[ISR + i] = isr_.read32(i);
    out.regs[TMR + i] = tmr_.read32(i);
    out.regs[IRR + i] = irr_.read32(i);
  }
  out.regs[ESR] = esr_;
  out.regs[ICR_LOW] = icr_low_;
  out.regs[ICR_HIGH] = icr_high_;
  for (unsigned i = 0; i < lvt_.size(); ++i) out.regs[LVT_TIMER + i] = lvt_[i];
  out.regs[INITIAL_COUNT] = timer_.initial_count();
  out.regs[CURRENT_COUNT] = timer_.current_count();
  out.regs[DIVIDE_CONFIGURATION] = timer_.divide_configuration();
  out.timer_remaining_ns = timer_.remaining_ns();
  out.tsc_deadline = timer_.tsc_deadline();
  return out;
}

void Lapic::set_state(const vm::x86::ApicState& state) {
  const auto& regs = state.regs;
  constexpr u64 kFlags = base_msr::BSP | base_msr::EXTD | base_msr::EN;
  base_ = state.apic_base & (((bit(setup_.physical_address_bits) - 1) & ~kPageMask) | kFlags);
  if (!enabled()) base_ &= ~base_msr::EXTD;
  version_ = regs[VERSION];
  tpr_ = static_cast<u8>(regs[TPR]);
  ldr_ = x2apic() ? (setup_.id >> 4) << 16 | 1U << (setup_.id & 15) : regs[LDR] & 0xFF000000;
  dfr_ = regs[DFR] | 0x0FFFFFFF;
  for (unsigned i = 0; i < 8; ++i) {
    const u32 legal = i == 0 ? ~u32{0xFFFF} : ~u32{0};
    isr_.write32(i, regs[ISR + i] & legal);
    tmr_.write32(i, regs[TMR + i] & legal);
    irr_.write32(i, regs[IRR + i] & legal);
  }
  svr_ = regs[SVR] & (0xFF | svr::Enable | svr::FocusDisabled | svr::SuppressEoiBroadcast);
  esr_ = regs[ESR];
  esr_collecting_ = 0;
  icr_low_ = regs[ICR_LOW] & icr::kWritable;
  icr_high_ = regs[ICR_HIGH];
  for (unsigned i = 0; i < lvt_.size(); ++i) lvt_[i] = regs[LVT_TIMER + i] & lvt::kDefined[i];

  const ApicTimer::Saved timer{.mode = timer_mode(lvt_[0]),
                               .masked = (lvt_[0] & lvt::Masked) != 0,
                               .divide_configuration = regs[DIVIDE_CONFIGURATION],
                               .initial_count = regs[INITIAL_COUNT],
                               .tsc_deadline = state.tsc_deadline,
                               .remaining_ns = state.timer_remaining_ns,
                               .current_count = regs[CURRENT_COUNT]};
  timer_.restore(timer);
  publish_address();
  if (wake_) wake_();
}

}  // namespace vireo::irq
