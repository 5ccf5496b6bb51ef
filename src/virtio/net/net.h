// The network device (virtio 1.2, 5.1) in front of a back end (net/api).
//
//   queues: receive 0, transmit 0, receive 1, transmit 1, ... control         transmit.cpp receive.cpp control.cpp
//
// Frames go by reference in both directions: the back end reads the driver's buffers where they are, and frames for the
// driver are written into its buffers once. A doorbell is served by the vCPU that rings it; when the back end takes no
// more, the rest waits for its call, and the driver need not ring meanwhile. Of receive buffers the driver need tell
// only when there were too few.
//
// Threads: see virtio/device and net/api. A queue's mutex guards what is kept for it here; mutex_ what control commands
// change, and is taken after a queue's. The back end is called with the transmit queue's mutex or none held.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "net/api/backend.h"
#include "virtio/device/device.h"
#include "virtio/net/spec.h"
#include "virtio/net/state.h"

namespace vireo::virtio {

class Net final : public Device, private vireo::net::Port {
 public:
  struct Setup {
    vireo::net::Backend& backend;  ///< outlives the device
    net::Mac mac{};
    std::optional<u16> mtu;  ///< what the driver is told, 68 or more
  };
  explicit Net(const Setup& setup);
  ~Net() override;

  u16 id() const override { return 1; }
  u32 pci_class() const override { return 0x020000; }
  u64 features() const override { return features_; }
  std::span<const u16> queues() const override { return queue_sizes_; }
  u32 config_size() const override { return net::kConfigSize; }
  void attach(Host& host) override;
  bool negotiated(u64 features) override;
  void notify(unsigned queue) override;
  void reset() override;
  void read_config(u32 offset, std::span<u8> to) override;
  std::vector<u8> save() const override;
  Result<> load(std::span<const u8> bytes) override;

 private:
  static constexpr u16 kQueueSize = 256, kControlQueueSize = 64;
  /// How many frames one call of the back end carries.
  static constexpr std::size_t kBurst = 64;

  struct Receiver {  ///< guarded by the queue's mutex
    std::vector<Chain> chains;
    std::vector<Used> used;
    bool starved = false;  ///< a frame waits for more buffers
  };
  struct Transmitter {
    std::array<Chain, kBurst> chains;
    std::array<vireo::net::Frame, kBurst> frames;
    std::array<std::size_t, kBurst> chain_of{};  ///< a frame's
    std::vector<Used> used;
  };

  // net::Port
  std::size_t receive(unsigned pair, std::span<const vireo::net::Frame> frames) override;
  void serve() override;
  void link_changed(bool up) override;

  void transmit(unsigned pair);
  enum class Sent : u8 { All, Some, Nothing };
  Sent transmit_some(Queue& queue, Transmitter& transmitter, unsigned pair);
  bool wanted(const vireo::net::Frame& frame) const;
  enum class Placed : u8 { Yes, No, Never };
  Placed place(Queue& queue, Receiver& receiver, const vireo::net::Frame& frame);
  void buffers_came(unsigned pair);

  void control();
  u8 command(Pieces& request);
  u8 command_rx(u8 command, Pieces& request);
  u8 command_mac(u8 command, Pieces& request);
  u8 command_vlan(u8 command, Pieces& request);
  void apply_offloads();

  Queue& receive_queue(unsigned pair) const { return host().queue(2 * pair); }
  Queue& transmit_queue(unsigned pair) const { return host().queue(2 * pair + 1); }
  bool has(u64 feature) const { return (negotiated_ & feature) == feature; }

  vireo::net::Backend& backend_;
  const unsigned max_pairs_;
  const net::Mac mac_;
  const std::optional<u16> mtu_;
  std::vector<u16> queue_sizes_;
  u64 features_ = 0;

  std::atomic<u64> negotiated_{0};
  std::deque<Receiver> receivers_;
  std::deque<Transmitter> transmitters_;
  Chain control_chain_;                   ///< the control queue's mutex guards it
  std::atomic<bool> tell_config_{false};  ///< a change that the driver has not been told of

  mutable std::mutex mutex_;
  net::State s_;  ///< `backend` aside
};

}  // namespace vireo::virtio
