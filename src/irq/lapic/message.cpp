#include "irq/lapic/message.h"

namespace vireo::irq {

bool ApicAddress::matches(u32 own_id, const ApicDestination& to) const {
  if (to.broadcast()) return true;
  if (!to.logical) return to.id == own_id;
  if (x2apic) return ldr >> 16 == to.id >> 16 && (ldr & to.id & 0xFFFF) != 0;
  if (to.id > 0xFF) return false;
  const u32 logical_id = ldr >> 24;
  if (flat) return (logical_id & to.id) != 0;
  return logical_id >> 4 == to.id >> 4 && (logical_id & to.id & 0xF) != 0;
}

}  // namespace vireo::irq
