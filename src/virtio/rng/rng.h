// The entropy device (virtio 1.2, 5.4): fills the driver's buffers with random bytes.
#pragma once

#include <array>
#include <functional>

#include "virtio/device/device.h"

namespace vireo::virtio {

class Rng final : public Device {
 public:
  /// `fill` gives random bytes, at once and always; any thread.
  explicit Rng(std::function<void(std::span<u8>)> fill) : fill_(std::move(fill)) {}

  u16 id() const override { return 4; }
  u32 pci_class() const override { return 0x00FF00; }
  u64 features() const override { return 0; }
  std::span<const u16> queues() const override { return kQueues; }
  void notify(unsigned queue) override;

 private:
  static constexpr std::array<u16, 1> kQueues = {16};

  const std::function<void(std::span<u8>)> fill_;
  Chain chain_;  ///< the queue's mutex guards it
};

}  // namespace vireo::virtio
