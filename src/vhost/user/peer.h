// A vhost-user back end in another process, as a device uses it.
//
// The other process maps all of guest memory and a page or two of ours: rings and scratch(). It does not see the
// guest's own rings. The device takes requests from those, checked, and hands them on through rings that the guest
// cannot reach; so the device hears of every byte that was written into the guest's memory before the guest does (code
// caches depend on it), the guest may use any kind of ring, and nothing has to be told to the other process when the
// guest resets its device or the machine is saved.
//
// Life: create() with a connection, before there is a machine; start() once there is memory; from then on only
// doorbells, which are eventfds, pass in either direction. Whatever comes over the connection then is its end.
//
// Threads: as Backend. give_up() from any of them.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "host/loop.h"
#include "host/map.h"
#include "vhost/user/connection.h"
#include "vhost/user/shared_ring.h"
#include "vm/memory/memory.h"

namespace vireo::vhost::user {

class Peer final : public Backend {
 public:
  /// Agrees on features; VIRTIO_F_VERSION_1 and no others of the device. Failed: the other process cannot do it.
  static Result<std::unique_ptr<Peer>> create(host::Loop& loop, Connection connection, unsigned queues);
  /// `memory` is shared, and outlives this object's use.
  Result<> start(const vm::GuestMemory& memory);
  /// Tells the other process that it is not needed any more, and gives it a moment to end in peace.
  ~Peer() override;

  void attach(Port& port) override { port_ = &port; }
  void detach() override { port_ = nullptr; }
  std::optional<u16> submit(unsigned queue, std::span<const iovec> readable, std::span<const iovec> writable) override;
  void kick(unsigned queue) override;
  std::optional<Done> take_done(unsigned queue) override;
  void wait(unsigned queue) override;
  bool lost() const override { return lost_; }
  std::span<u8> scratch() override;

 private:
  struct Queue {
    SharedRing ring;
    host::Fd kick, call;
    std::unique_ptr<host::Loop::Watcher> watcher;
    int waited = 0;  ///< milliseconds in wait(), in vain
  };
  Peer(host::Loop& loop, Connection connection) : loop_(loop), connection_(std::move(connection)) {}
  Result<> set_up_queue(u32 index);
  std::optional<SharedRing::Piece> piece_of(const iovec& piece) const;
  bool pieces_of(std::span<const iovec> from, std::vector<SharedRing::Piece>& to) const;
  void give_up(const char* why);

  host::Loop& loop_;
  Connection connection_;
  unsigned wanted_ = 0;  ///< queues
  const vm::GuestMemory* memory_ = nullptr;
  host::Map own_;  ///< the rings, and then scratch
  std::deque<Queue> queues_;
  std::unique_ptr<host::Loop::Watcher> end_;
  Port* port_ = nullptr;
  std::atomic<bool> lost_{false};
};

}  // namespace vireo::vhost::user
