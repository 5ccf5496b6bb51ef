#include "machine/pc/virtio_card.h"

namespace vireo::machine {

VirtioCard::VirtioCard(const std::string& id, const CardWires& wires, std::unique_ptr<virtio::Device> device,
                       std::shared_ptr<void> behind)
    : behind_(std::move(behind)),
      device_({.name = "card." + id, .memory = wires.memory, .clock = wires.clock, .msi = wires.msi, .pin = wires.pin},
              std::move(device)) {}

}  // namespace vireo::machine
