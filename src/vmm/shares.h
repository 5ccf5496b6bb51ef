// The folders that the machine shares: each a process that serves it.
#pragma once

#include <memory>
#include <vector>

#include "machine/pc/pc.h"
#include "vhost/user/peer.h"
#include "vmm/config.h"

namespace vireo::vmm {

class Shares {
 public:
  /// Starts and connects; before any other thread. Errors say which share; kinds as in vhost/user.
  static Result<Shares> open(const std::vector<ShareConfig>& shares, host::Loop& loop);

  /// For the machine, which they outlive.
  std::vector<machine::PcShare> shares() const;
  /// The guest's memory is there; it is shared.
  Result<> start(const vm::GuestMemory& memory);

 private:
  struct Share {
    std::string tag;
    std::unique_ptr<vhost::user::Peer> peer;
  };
  std::vector<Share> shares_;
};

}  // namespace vireo::vmm
