// A virtio device as a card for a hot-plug port.
//
// The device goes before what is behind it (a disk, a network back end), which the card keeps for it: whoever lends
// such a thing knows by its destruction that the guest has let go of it.
#pragma once

#include <memory>
#include <string>

#include "machine/pc/ports.h"
#include "virtio/pci/pci_device.h"

namespace vireo::machine {

class VirtioCard final : public Card {
 public:
  /// Its state is named "card." and the id.
  VirtioCard(const std::string& id, const CardWires& wires, std::unique_ptr<virtio::Device> device,
             std::shared_ptr<void> behind = {});
  pci::Function& function() override { return device_; }
  vm::Stateful& state() override { return device_; }
  vm::Activity* activity() override { return &device_; }

 private:
  const std::shared_ptr<void> behind_;
  virtio::PciDevice device_;
};

}  // namespace vireo::machine
