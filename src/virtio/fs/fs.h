// The file system device (virtio 1.2, 5.11): a folder of the host in the guest. Its requests are FUSE messages, which
// another process (virtiofsd) serves; this device carries them there and back.
//
//   queue --pop--> on their way --submit--> vhost::Backend --take_done--> note what was written, push
//
// Nothing is on its way while the machine stands still or the driver resets: drain() waits. A process that is lost, or
// hangs then, is given up; its requests, and all later ones, are answered with EIO, so that the guest can unmount.
//
// Saved state: what files the guest has open is known to the other process alone. A machine can be saved while the
// file system is not mounted, between FUSE_DESTROY and the next FUSE_INIT. A driver that is reset without having
// unmounted (a reboot) is unmounted here.
//
// Threads: as virtio/device. A queue's mutex guards what is on its way, and is taken in done() and lost() as well.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "vhost/api/backend.h"
#include "virtio/device/device.h"
#include "virtio/fs/spec.h"

namespace vireo::virtio {

class Fs final : public Device, private vhost::Port {
 public:
  /// `tag` names the file system in the guest, 1..36 bytes. `backend` outlives the device.
  Fs(std::string tag, vhost::Backend& backend) : tag_(std::move(tag)), backend_(backend) {}
  ~Fs() override { backend_.detach(); }

  void attach(Host& host) override;
  u16 id() const override { return fs::kDeviceId; }
  u32 pci_class() const override { return 0x018000; }
  u64 features() const override { return 0; }
  std::span<const u16> queues() const override { return kSizes; }
  u32 config_size() const override { return fs::config::kSize; }

  void notify(unsigned queue) override;
  void drain() override;
  void reset() override;
  void read_config(u32 offset, std::span<u8> to) override;
  Result<> can_save() const override;

 private:
  static constexpr std::array<u16, fs::kQueues> kSizes = {128, 512};

  void done(unsigned queue) override;
  void lost() override;

  struct OnItsWay {
    Chain chain;
    u64 unique = 0;
    u32 opcode = 0;
    bool used = false;
  };
  /// What is on its way of one queue.
  struct Flight {
    std::vector<OnItsWay> by_ticket{vhost::Backend::kSize};
    unsigned count = 0;
    Chain popped;
  };

  bool serve(Queue& queue);
  bool begin(Queue& queue, Flight& flight);
  void finish_done(Queue& queue);
  void finish_lost(Queue& queue);
  void unmount();
  u32 refuse(Chain& chain, u64 unique);

  const std::string tag_;
  vhost::Backend& backend_;
  std::array<Flight, fs::kQueues> flights_;  ///< each guarded by its queue's mutex
  std::atomic<bool> mounted_{false};         ///< as far as the other process knows
};

}  // namespace vireo::virtio
