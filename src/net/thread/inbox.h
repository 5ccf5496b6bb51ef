// Frames on their way to a port: kept while the guest has no buffers, delivered in order by one thread at a time, many
// in one call.
//
// Threads: add() under the owner's lock or not, from any thread; deliver() from any thread with no lock held. A thread
// that finds another delivering leaves its frames to that one.
#pragma once

#include <mutex>
#include <span>
#include <vector>

#include "net/thread/gate.h"

namespace vireo::net {

class Inbox {
 public:
  explicit Inbox(Gate& gate) : gate_(gate) {}

  /// More than this waits for nobody: further frames are dropped, as on a wire.
  static constexpr std::size_t kMaxBytes = 4 * kMiB;

  void add(const VirtioNetHdr& header, std::span<const u8> frame);
  /// Offers what waits. `again`: the port has said that it has room now.
  void deliver(bool again = false);
  /// The port has left frames, and nobody has said yet that it takes more: read nothing for it.
  bool blocked() const;

 private:
  struct Place {
    VirtioNetHdr header;
    std::size_t offset, size;
  };
  struct Batch {
    std::vector<Place> places;
    std::vector<u8> bytes;
    std::size_t done = 0;  ///< of places
    void clear();
  };
  /// How many frames one call of the port carries.
  static constexpr std::size_t kBurst = 64;
  std::size_t offer();

  Gate& gate_;
  mutable std::mutex mutex_;
  Batch incoming_;
  Batch outgoing_;  ///< of whoever delivers
  bool delivering_ = false;
  bool blocked_ = false;
  bool again_ = false;  ///< deliver(true) came while another thread delivered
};

}  // namespace vireo::net
