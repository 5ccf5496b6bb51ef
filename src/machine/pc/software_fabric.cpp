#include "machine/pc/software_fabric.h"

#include "host/thread.h"

namespace vireo::machine {

SoftwareFabric::SoftwareFabric(vm::GuestMemory& memory, vm::Clock& clock, unsigned cpus,
                               unsigned physical_address_bits) {
  for (unsigned cpu = 0; cpu < cpus; ++cpu) {
    auto& lapic = lapics_.emplace_back(
        bus_, clock,
        irq::LapicSetup{.id = cpu, .bootstrap_processor = cpu == 0, .physical_address_bits = physical_address_bits});
    paravirts_.emplace_back(irq::ParavirtSetup{
        .memory = memory, .clock = clock, .bus = bus_, .lapic = lapic, .run_delay_ns = host::run_delay_ns});
  }
}

void SoftwareFabric::reset() {
  for (auto& lapic : lapics_) lapic.discard_posted();
}

}  // namespace vireo::machine
