// One port of the console device: a byte channel on the host's side, two queues on the driver's.
//
//   channel --receive()--> input_ (4 KiB) --> receive queue          transmit queue --> channel.write()
//
// No buffer of the driver is out while nothing happens: one that is transmitted in parts, because the channel does not
// keep up, goes back into its ring with the number of bytes that are gone.
//
// Threads: the receive queue's mutex guards what is about input, the transmit queue's what is about output. The channel
// is called with neither held.
#pragma once

#include "chardev/api/channel.h"
#include "virtio/console/state.h"
#include "virtio/device/device.h"

namespace vireo::virtio::console {

class Port final : public chardev::ByteSink {
 public:
  /// `receive` is the index of the receive queue; the transmit queue follows.
  Port(chardev::ByteChannel& channel, unsigned receive) : channel_(channel), receive_(receive) {}
  /// Begins to listen to the channel.
  void attach(Host& host);
  /// The channel calls no more.
  void detach() { channel_.set_sink(nullptr); }

  /// The driver may have given buffers, or something to send.
  void deliver();
  void transmit();
  /// Only an open port gets input; deliver() is to follow.
  void set_guest_open(bool open);
  void reset();

  void save(PortState& state) const;
  static bool fits(const PortState& state) { return state.input.size() <= kInput; }
  void load(const PortState& state);

  // chardev::ByteSink
  std::size_t room() override;
  void receive(std::span<const u8> bytes) override;
  void output_ready() override;

 private:
  static constexpr std::size_t kInput = 4096;

  void deliver_locked(Queue& queue);
  Queue& receive_queue() const { return host_->queue(receive_); }
  Queue& transmit_queue() const { return host_->queue(receive_ + 1); }

  chardev::ByteChannel& channel_;
  const unsigned receive_;
  Host* host_ = nullptr;

  bool guest_open_ = false;
  std::vector<u8> input_;
  bool channel_waits_ = false;  ///< it was told that there is no room
  Chain receiving_;

  u32 sent_ = 0;
  bool busy_ = false;     ///< a thread is transmitting
  bool stuck_ = false;    ///< the channel does not keep up
  unsigned readies_ = 0;  ///< how often it has said that it does again
  Chain transmitting_;
};

}  // namespace vireo::virtio::console
