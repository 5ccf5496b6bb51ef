// Interrupts of a virtio PCI device: messages, or the pin and the ISR byte (virtio 1.2, 4.1.4.5, 4.1.5.3 and 4.1.5.4).
#include "virtio/pci/pci_device.h"

namespace vireo::virtio {

void PciDevice::queue_interrupt(unsigned queue) { interrupt(vectors_[queue], isr::Queue); }

void PciDevice::interrupt(u16 vector, u8 reason) {
  if (msix_.enabled()) return msix_.notify(vector);  // NO_VECTOR is none of the table's
  const std::lock_guard lock(pin_mutex_);
  isr_ |= reason;
  drive_pin();
}

u8 PciDevice::take_isr() {
  const std::lock_guard lock(pin_mutex_);
  const u8 reasons = std::exchange(isr_, u8{0});
  drive_pin();
  return reasons;
}

// The command register and MSI-X's control may have changed.
void PciDevice::configure_interrupts() {
  bus_master_ = config_.enabled(pci::command::BusMaster);
  msix_.configure(config_);
  const std::lock_guard lock(pin_mutex_);
  pin_disabled_ = config_.enabled(pci::command::InterruptDisable) || msix_.enabled();
  drive_pin();
}

void PciDevice::drive_pin() {
  const bool level = isr_ != 0 && !pin_disabled_;
  if (level != std::exchange(pin_level_, level)) pin_.set(level);
}

}  // namespace vireo::virtio
