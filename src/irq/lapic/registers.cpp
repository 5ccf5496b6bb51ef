// The register page, and what its registers do.
#include "irq/lapic/lapic.h"

namespace vireo::irq {

using namespace apic;

u32 Lapic::read_register(unsigned index) {
  switch (index) {
    case ID:
      return x2apic() ? setup_.id : setup_.id << 24;
    case VERSION:
      return version_;
    case TPR:
      return tpr_;
    case PPR:
      return ppr();
    case LDR:
      return ldr_;
    case DFR:
      return dfr_;
    case SVR:
      return svr_;
    case ESR:
      return esr_;
    case ICR_LOW:
      return icr_low_;
    case ICR_HIGH:
      return icr_high_;
    case INITIAL_COUNT:
      return timer_.initial_count();
    case CURRENT_COUNT:
      run_timer(false);
      return timer_.current_count();
    case DIVIDE_CONFIGURATION:
      return timer_.divide_configuration();
    default:
      break;
  }
  if (index >= LVT_TIMER && index <= LVT_ERROR) return lvt_[index - LVT_TIMER];
  if (index < ISR || index >= IRR + 8) return 0;
  take_in();
  if (collect_eoi_) collect_eoi_();
  VectorSet& set = index < TMR ? isr_ : index < IRR ? tmr_ : irr_;
  return set.read32(index % 8);
}

void Lapic::write_register(unsigned index, u32 value) {
  switch (index) {
    case TPR:
      return write_tpr(static_cast<u8>(value));
    case EOI:
      return eoi();
    case LDR:
      ldr_ = value & 0xFF000000;
      return publish_address();
    case DFR:
      dfr_ = value | 0x0FFFFFFF;
      return publish_address();
    case SVR:
      return write_svr(value);
    case ESR:
      return write_esr();
    case ICR_LOW:
      icr_low_ = value & icr::kWritable;
      return send_icr(icr_low_, icr_high_);
    case ICR_HIGH:
      icr_high_ = value & 0xFF000000;
      return;
    case INITIAL_COUNT:
      run_timer(false);
      timer_.set_initial_count(value);
      return;
    case DIVIDE_CONFIGURATION:
      run_timer(false);
      timer_.set_divide(value);
      return;
    default:
      break;
  }
  if (index >= LVT_TIMER && index <= LVT_ERROR) write_lvt(index, value);
}

/// The page exists in xAPIC mode only; elsewhere nothing may change through it (LDR is read-only in x2APIC mode).
u32 Lapic::mmio_read(u32 offset) {
  return !mmio_page() || offset % 16 != 0 || offset / 16 >= kRegisters ? 0 : read_register(offset / 16);
}

void Lapic::mmio_write(u32 offset, u32 value) {
  if (mmio_page() && offset % 16 == 0 && offset / 16 < kRegisters) write_register(offset / 16, value);
}

// --- Priority
// ------------------------------------------------------------------------------------------------------------------

/// SDM 3A 11.8.3.1.
u8 Lapic::ppr() const {
  const auto in_service = isr_.highest();
  const u8 service_class = in_service.value_or(0) & 0xF0;
  return (tpr_ & 0xF0) >= service_class ? tpr_ : service_class;
}

bool Lapic::deliverable() const {
  const auto waiting = irr_.highest();
  return waiting && (*waiting & 0xF0) > (ppr() & 0xF0);
}

void Lapic::wake_if_deliverable() {
  if (deliverable() && wake_) wake_();
}

void Lapic::write_tpr(u8 value) {
  tpr_ = value;
  wake_if_deliverable();
}

void Lapic::eoi() {
  const auto vector = isr_.highest();
  if (!vector) return;
  isr_.clear(*vector);
  const bool suppressed = (svr_ & svr::SuppressEoiBroadcast) != 0;
  if (tmr_.test(*vector) && !suppressed) bus_.level_eoi(*vector);
  wake_if_deliverable();
}

bool Lapic::may_defer_eoi(u8 vector) const {
  return irr_.empty() && isr_.count() == 1 && isr_.test(vector) && !tmr_.test(vector);
}

// --- Local vector table, errors
// --------------------------------------------------------------------------------------------------

void Lapic::write_svr(u32 value) {
  const u32 defined = 0xFF | svr::Enable | svr::FocusDisabled |
                      ((version_ & version::SuppressEoiBroadcast) ? svr::SuppressEoiBroadcast : 0);
  svr_ = value & defined;
  if (!(svr_ & svr::Enable)) {
    run_timer(false);
    for (u32& entry : lvt_) entry |= lvt::Masked;  // SDM 3A 11.4.7.2
    update_timer_lvt();
  }
  publish_address();
}

void Lapic::write_lvt(unsigned index, u32 value) {
  if (index == LVT_TIMER) run_timer(false);
  u32& entry = lvt_[index - LVT_TIMER];
  entry = value & lvt::kDefined[index - LVT_TIMER];
  if (!(svr_ & svr::Enable)) entry |= lvt::Masked;
  if (index == LVT_TIMER) update_timer_lvt();
  if (index == LVT_LINT0 && accepts_pic() && wake_) wake_();  // the 8259 may be waiting
}

void Lapic::update_timer_lvt() {
  const u32 entry = lvt_[0];
  timer_.set_lvt(timer_mode(entry), (entry & lvt::Masked) != 0);
}

void Lapic::run_timer(bool alarm) {
  if (alarm ? timer_.on_alarm() : timer_.expire()) deliver_local(LVT_TIMER);
}

void Lapic::inject(u8 vector) {
  if (vector < kFirstVector) return report_error(esr::ReceiveIllegalVector);
  irr_.set(vector);
  tmr_.clear(vector);
  wake_if_deliverable();
}

void Lapic::deliver_local(unsigned lvt_index) {
  const u32 entry = lvt_[lvt_index - LVT_TIMER];
  if (entry & lvt::Masked) return;
  switch (delivery_mode(entry)) {
    case DeliveryMode::Fixed:
      return inject(static_cast<u8>(entry));
    case DeliveryMode::Nmi:
      nmi_ = true;
      if (wake_) wake_();
      return;
    default:
      return;
  }
}

/// Errors are collected until software writes the register; that also arms it for the next interrupt (SDM 3A 11.5.3).
void Lapic::write_esr() {
  esr_ = esr_collecting_;
  esr_collecting_ = 0;
}

void Lapic::report_error(u32 esr_bit) {
  if (esr_collecting_ & esr_bit) return;
  esr_collecting_ |= esr_bit;
  const u32 entry = lvt_[LVT_ERROR - LVT_TIMER];
  // An error LVT with an illegal vector of its own has nothing it could deliver.
  if (!(entry & lvt::Masked) && static_cast<u8>(entry) >= kFirstVector) inject(static_cast<u8>(entry));
}

// --- Interrupt command
// ---------------------------------------------------------------------------------------------------------

void Lapic::send_icr(u32 low, u32 high) {
  const DeliveryMode mode = delivery_mode(low);
  const bool fixed = mode == DeliveryMode::Fixed || mode == DeliveryMode::LowestPriority;
  if (fixed && static_cast<u8>(low) < kFirstVector) return report_error(esr::SendIllegalVector);
  if (mode == DeliveryMode::ExtInt) return;  // reserved in an ICR
  // Trigger mode and level only matter to INIT, whose de-assertion is ignored (SDM 3A 11.6.1).
  const bool deasserted = (low & icr::Level) && !(low & icr::Assert);
  const ApicMessage message{
      .vector = static_cast<u8>(low), .mode = mode, .asserted = !(mode == DeliveryMode::Init && deasserted)};
  const ApicDestination to{.id = x2apic() ? high : high >> 24, .logical = (low & icr::Logical) != 0, .wide = x2apic()};
  bus_.send_ipi(*this, static_cast<Shorthand>(bits(low, 18, 2)), to, message);
}

}  // namespace vireo::irq
