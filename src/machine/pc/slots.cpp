#include "machine/pc/slots.h"

#include "machine/pc/layout.h"
#include "virtio/rng/rng.h"

namespace vireo::machine {

void plug_devices(Board& board, const PcHost& host) {
  if (host.random) board.plug(layout::kRngSlot, "virtio_rng", std::make_unique<virtio::Rng>(host.random));
}

}  // namespace vireo::machine
