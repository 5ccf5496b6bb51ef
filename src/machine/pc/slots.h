// The PCI devices of a PC: which there are, and in which slots.
#pragma once

#include "machine/pc/board.h"
#include "machine/pc/pc.h"

namespace vireo::machine {

/// What the machine asks of its devices afterwards; they are the board's.
struct PluggedDevices {
  virtio::Balloon* balloon = nullptr;
  std::vector<virtio::Input*> inputs;
};

/// Usage error: there are more of a kind than slots. `cpus` is how many there are to serve; slots from
/// `end_slot` on are taken.
Result<PluggedDevices> plug_devices(Board& board, const PcHost& host, unsigned cpus, unsigned end_slot);

}  // namespace vireo::machine
