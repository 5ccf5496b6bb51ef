// What other threads post, and the vCPU's thread taking it over.
#include <utility>

#include "irq/lapic/lapic.h"

namespace vireo::irq {

using apic::DeliveryMode;

// --- Any thread
// ----------------------------------------------------------------------------------------------------------------

void Lapic::raise(u32 event) {
  if (events_.fetch_or(event, std::memory_order_acq_rel) & event) return;  // whoever raised it first wakes
  if (wake_) wake_();
}

void Lapic::raise_sipi(u8 vector) {
  u32 events = events_.load(std::memory_order_relaxed);
  u32 next = 0;
  do {
    next = (events & ~(u32{0xFF} << kSipiVectorShift)) | kSipi | u32{vector} << kSipiVectorShift;
  } while (!events_.compare_exchange_weak(events, next, std::memory_order_acq_rel, std::memory_order_relaxed));
  if (wake_) wake_();
}

void Lapic::post(const ApicMessage& message) {
  const ApicAddress now = address();
  if (!now.enabled || !message.asserted) return;
  switch (message.mode) {
    case DeliveryMode::Fixed:
    case DeliveryMode::LowestPriority: {
      if (!now.accepting) return;
      if (message.vector < apic::kFirstVector) return raise(kIllegalVector);
      auto& words = message.level ? posted_level_ : posted_;
      words[message.vector >> 6].fetch_or(bit(message.vector & 63), std::memory_order_relaxed);
      return raise(kFixed);
    }
    case DeliveryMode::Nmi:
      return raise(kNmi);
    case DeliveryMode::Init:
      return raise(kInit);
    case DeliveryMode::StartUp:
      return raise_sipi(message.vector);
    case DeliveryMode::ExtInt:
      virtual_wire_.store(true, std::memory_order_relaxed);
      if (wake_) wake_();
      return;
    case DeliveryMode::Smi:
    case DeliveryMode::Reserved:
      return;
  }
}

void Lapic::discard_posted() {
  events_.store(0, std::memory_order_relaxed);
  for (auto& word : posted_) word.store(0, std::memory_order_relaxed);
  for (auto& word : posted_level_) word.store(0, std::memory_order_relaxed);
  virtual_wire_.store(false, std::memory_order_relaxed);
  nmi_ = false;
}

// --- The vCPU's thread
// -----------------------------------------------------------------------------------------------------------

bool Lapic::take_event(u32 event) {
  if (!(events_.load(std::memory_order_relaxed) & event)) return false;
  // Acquires what was written before the event was raised; events of later posts stay or are seen with this one.
  return (events_.fetch_and(~event, std::memory_order_acq_rel) & event) != 0;
}

void Lapic::take_in() {
  if ((events_.load(std::memory_order_relaxed) & (kFixed | kTimer | kLint1 | kIllegalVector)) == 0) return;
  if (take_event(kFixed)) take_posted();
  if (take_event(kTimer)) run_timer(true);
  if (take_event(kLint1)) deliver_local(apic::LVT_LINT1);
  if (take_event(kIllegalVector)) report_error(apic::esr::ReceiveIllegalVector);
}

void Lapic::take_posted() {
  for (unsigned i = 0; i < VectorSet::kWords; ++i) {
    const u64 edge = posted_[i].exchange(0, std::memory_order_relaxed);
    const u64 level = posted_level_[i].exchange(0, std::memory_order_relaxed);
    irr_.word(i) |= edge | level;
    tmr_.word(i) = (tmr_.word(i) & ~edge) | level;
  }
}

vm::LocalApic::Signals Lapic::take_signals() {
  take_in();
  Signals signals;
  signals.nmi = std::exchange(nmi_, false);
  constexpr u32 kSignals = kNmi | kInit | kSipi;
  if ((events_.load(std::memory_order_relaxed) & kSignals) == 0) return signals;
  const u32 events = events_.fetch_and(~(kSignals | u32{0xFF} << kSipiVectorShift), std::memory_order_acq_rel);
  signals.nmi |= (events & kNmi) != 0;
  signals.init = (events & kInit) != 0;
  if (events & kSipi) signals.sipi = static_cast<u8>(events >> kSipiVectorShift);
  return signals;
}

std::optional<u8> Lapic::pending_vector() {
  take_in();
  return enabled() && deliverable() ? irr_.highest() : std::nullopt;
}

void Lapic::accept(u8 vector) {
  irr_.clear(vector);
  isr_.set(vector);
}

bool Lapic::accepts_pic() const {
  if (!enabled() || virtual_wire_.load(std::memory_order_relaxed)) return true;
  const u32 lint0 = lvt_[apic::LVT_LINT0 - apic::LVT_TIMER];
  return !(lint0 & apic::lvt::Masked) && apic::delivery_mode(lint0) == DeliveryMode::ExtInt;
}

}  // namespace vireo::irq
