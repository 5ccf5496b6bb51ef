// The kinds of devices that can be added while a machine runs: virtio-blk-pci (drive=, serial=, num-queues=),
// virtio-net-pci (netdev=, mac=) and virtio-rng-pci.
//
// What is behind a device (a node of vmm/block_nodes.h, a back end of vmm/network.h) is there before it, and free again
// after it.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "vmm/block_nodes.h"
#include "vmm/cards.h"
#include "vmm/network.h"

namespace vireo::vmm {

/// What they stand on. References outlive the machine.
struct CardSupplies {
  BlockNodes& nodes;
  Network& network;
  std::function<void(std::span<u8>)> random;
  unsigned cpus = 1;
};
std::vector<CardKind> virtio_cards(const CardSupplies& supplies);

}  // namespace vireo::vmm
