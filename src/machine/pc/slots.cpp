#include "machine/pc/slots.h"

#include <algorithm>
#include <cassert>

#include "machine/pc/layout.h"
#include "virtio/blk/blk.h"
#include "virtio/console/console.h"
#include "virtio/fs/fs.h"
#include "virtio/net/net.h"
#include "virtio/rng/rng.h"
#include "virtio/vsock/vsock.h"

namespace vireo::machine {
namespace {

/// More gain nothing, whatever number of CPUs there is.
constexpr unsigned kMaxDiskQueues = 16;

}  // namespace

Result<PluggedDevices> plug_devices(Board& board, const PcHost& host, unsigned cpus, unsigned end_slot) {
  PluggedDevices plugged;
  const bool shared = host.vsock || !host.inputs.empty();
  assert((host.random || !shared) && (host.balloon || host.shares.empty()));  // a slot begins with its function 0
  if (host.random) {
    board.plug({layout::kRngSlot}, "virtio_rng", std::make_unique<virtio::Rng>(host.random), shared);
  }
  if (host.vsock) {
    board.plug(layout::kVsock, "virtio_vsock", std::make_unique<virtio::Vsock>(host.vsock->cid, *host.vsock->backend));
  }
  if (host.inputs.size() > layout::kMaxInputs) {
    return fail(ErrorKind::Usage, "there are {} input devices; a machine has up to {}", host.inputs.size(),
                layout::kMaxInputs);
  }
  for (unsigned i = 0; i < host.inputs.size(); ++i) {
    auto input = std::make_unique<virtio::Input>(host.inputs[i]);
    plugged.inputs.push_back(input.get());
    board.plug({layout::kFirstInput.slot, layout::kFirstInput.function + i}, "virtio_input" + std::to_string(i),
               std::move(input));
  }
  if (host.balloon) {
    auto balloon = std::make_unique<virtio::Balloon>();
    plugged.balloon = balloon.get();
    board.plug({layout::kBalloonSlot}, "virtio_balloon", std::move(balloon), !host.shares.empty());
  }
  if (host.shares.size() > layout::kMaxShares) {
    return fail(ErrorKind::Usage, "there are {} shared folders; a machine has up to {}", host.shares.size(),
                layout::kMaxShares);
  }
  for (unsigned i = 0; i < host.shares.size(); ++i) {
    const auto& [tag, backend] = host.shares[i];
    board.plug({layout::kFirstShare.slot, layout::kFirstShare.function + i}, "virtio_fs" + std::to_string(i),
               std::make_unique<virtio::Fs>(tag, *backend));
  }
  if (host.console_ports.size() > layout::kMaxConsolePorts) {
    return fail(ErrorKind::Usage, "there are {} ports of the virtio console; it has up to {}",
                host.console_ports.size(), layout::kMaxConsolePorts);
  }
  if (!host.console_ports.empty()) {
    board.plug({layout::kConsoleSlot}, "virtio_console", std::make_unique<virtio::Console>(host.console_ports));
  }
  const unsigned disk_slots = std::min(layout::kDiskSlots, end_slot - layout::kFirstDiskSlot);
  if (host.disks.size() > disk_slots) {
    return fail(ErrorKind::Usage, "there are {} disks; this machine has up to {}", host.disks.size(), disk_slots);
  }
  for (unsigned i = 0; i < host.disks.size(); ++i) {
    const auto& [disk, serial] = host.disks[i];
    board.plug({layout::kFirstDiskSlot + i}, "virtio_blk" + std::to_string(i),
               std::make_unique<virtio::Blk>(*disk, serial, std::min(cpus, kMaxDiskQueues)));
  }
  if (host.nics.size() > layout::kNicSlots) {
    return fail(ErrorKind::Usage, "there are {} network interfaces; a machine has up to {}", host.nics.size(),
                layout::kNicSlots);
  }
  for (unsigned i = 0; i < host.nics.size(); ++i) {
    const auto& nic = host.nics[i];
    board.plug(
        {layout::kFirstNicSlot + i}, kNicStateName + std::to_string(i),
        std::make_unique<virtio::Net>(virtio::Net::Setup{.backend = *nic.backend, .mac = nic.mac, .mtu = nic.mtu}));
  }
  return plugged;
}

}  // namespace vireo::machine
