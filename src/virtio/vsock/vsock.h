// The socket device (virtio 1.2, 5.10): streams between programs in the guest and on the host, by port numbers and
// without a network.
//
//   tx queue --> take_packet --> connection --> stream of the back end          connections --> rx queue
//
// The guest is context `cid`, the host context 2. What the guest connects to is the back end's business; who connects
// from the host gets a port from kFirstHostPort on.
//
// A connection ends when both sides have said that they will send nothing more, or by OP_RST. What a guest has sent
// before it left reaches the host also when that is slow: such a connection lingers without being known to the guest.
//
// Bounds: kMaxConnections at a time, lingering ones included, each with Connection::kBuffer bytes; kMaxReplies refusals
// that the guest does not fetch, and no more packets are looked at until it does.
//
// Saved state: connections do not survive being moved. A restored device tells the driver so (TRANSPORT_RESET), and the
// guest's sockets fail as if the host had been restarted.
//
// Threads: all work is done by serve(), on the event loop's thread; doorbells only wake it. mutex_ guards everything,
// for reset() comes from any vCPU's thread: what that lets go is destroyed by serve(). Order of locks: mutex_, then a
// queue's.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "net/api/streams.h"
#include "virtio/device/device.h"
#include "virtio/vsock/connection.h"

namespace vireo::virtio {

class Vsock final : public Device, private vireo::net::StreamPort {
 public:
  static constexpr unsigned kMaxConnections = 256;
  static constexpr std::size_t kMaxReplies = 256;
  static constexpr u32 kFirstHostPort = 1 << 30;

  /// `cid` is 3 or more; `backend` outlives the device.
  Vsock(u32 cid, vireo::net::StreamBackend& backend) : cid_(cid), backend_(backend), data_(kMostData) {}
  ~Vsock() override { backend_.detach(); }

  void attach(Host& host) override;
  u16 id() const override { return vsock::kDeviceId; }
  u32 pci_class() const override { return 0x028000; }
  u64 features() const override { return vsock::STREAM; }
  std::span<const u16> queues() const override { return kSizes; }
  u32 config_size() const override { return vsock::config::kSize; }

  void notify(unsigned queue) override;
  void reset() override;
  void read_config(u32 offset, std::span<u8> to) override;

  std::vector<u8> save() const override;
  Result<> load(std::span<const u8> state) override;

 private:
  static constexpr std::array<u16, vsock::kQueues> kSizes = {256, 256, 16};
  static constexpr std::size_t kMostData = 64 * 1024;  ///< of a packet
  using Connections = std::map<vsock::Key, vsock::Connection>;

  void serve() override;
  void incoming(u32 guest_port, std::unique_ptr<vireo::net::Stream> stream) override;

  bool take_packets();
  void take_packet(Chain& chain);
  void take_for(Connections::iterator at, const vsock::Header& header, Chain& chain);
  void request(vsock::Key key, const vsock::Header& header);
  void refuse(vsock::Key key);
  void remove(Connections::iterator at);
  void let_go(Connections::iterator at);
  void advance();
  bool send_packets();
  bool put_packet(vsock::Key key, vsock::Header header, std::span<const u8> data);
  bool full() const { return connections_.size() + lingering_.size() >= kMaxConnections; }
  void tell_events();

  const u32 cid_;
  vireo::net::StreamBackend& backend_;

  mutable std::mutex mutex_;  ///< guards what follows
  Connections connections_;
  std::vector<vsock::Connection> lingering_;
  Connections gone_;
  std::vector<vsock::Connection> gone_lingering_;
  std::deque<vsock::Key> replies_;  ///< connections that the guest must be told are none
  u32 next_host_port_ = kFirstHostPort;
  bool tell_reset_ = false;
  bool guest_has_buffers_ = false;  ///< at the last look
  Chain taking_, sending_, telling_;
  std::vector<u8> data_;
};

}  // namespace vireo::virtio
