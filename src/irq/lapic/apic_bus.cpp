#include "irq/lapic/apic_bus.h"

#include "irq/lapic/lapic.h"

namespace vireo::irq {

using apic::DeliveryMode;
using apic::Shorthand;

void ApicBus::send(const vm::MsiMessage& message) { deliver(destination_of(message), message_of(message)); }

void ApicBus::send_ipi(Lapic& sender, Shorthand shorthand, const ApicDestination& to, const ApicMessage& message) {
  switch (shorthand) {
    case Shorthand::None:
      deliver(to, message);
      break;
    case Shorthand::Self:
      sender.post(message);
      break;
    case Shorthand::All:
    case Shorthand::AllButSelf:
      for (Lapic* lapic : lapics_) {
        if (shorthand == Shorthand::All || lapic != &sender) lapic->post(message);
      }
      break;
  }
}

Lapic* ApicBus::find(u32 apic_id) const {
  for (Lapic* lapic : lapics_) {
    if (lapic->id() == apic_id) return lapic;
  }
  return nullptr;
}

void ApicBus::deliver(const ApicDestination& to, const ApicMessage& message) {
  if (message.mode == DeliveryMode::LowestPriority) return deliver_lowest_priority(to, message);
  for (Lapic* lapic : lapics_) {
    if (lapic->address().matches(lapic->id(), to)) lapic->post(message);
  }
}

/// Which of the APICs that match is the model's choice (SDM 3A 11.6.2.4); the vector decides, so that an interrupt
/// stays on its CPU.
void ApicBus::deliver_lowest_priority(const ApicDestination& to, const ApicMessage& message) {
  const auto accepts = [&to](const Lapic& lapic) {
    const ApicAddress address = lapic.address();
    return address.enabled && address.accepting && address.matches(lapic.id(), to);
  };
  unsigned candidates = 0;
  for (const Lapic* lapic : lapics_) candidates += accepts(*lapic) ? 1 : 0;
  if (candidates == 0) return;
  unsigned skip = message.vector % candidates;
  for (Lapic* lapic : lapics_) {
    if (accepts(*lapic) && skip-- == 0) return lapic->post(message);
  }
}

}  // namespace vireo::irq
