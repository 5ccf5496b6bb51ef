// The commands about the memory balloon, balloon and query-balloon, and its event BALLOON_CHANGE, which comes once a
// second at most.
//
// As in QEMU all sizes are of what the guest has left, in bytes.
//
// Threads: the owner's; the guest's changes arrive on any.
#pragma once

#include <memory>

#include "api/qmp_commands.h"
#include "host/loop.h"
#include "machine/pc/pc.h"

namespace vireo::vmm {

class BalloonWatch {
 public:
  /// `changed` is called on the loop's thread with what the guest has left. `pc` and `loop` outlive it.
  BalloonWatch(host::Loop& loop, machine::Pc& pc, std::function<void(u64 bytes)> changed);

  void add_commands(api::Commands& commands);

 private:
  u64 left() const;
  void tell();

  machine::Pc& pc_;
  const std::function<void(u64 bytes)> changed_;
  u64 told_ns_ = 0, told_ = 0;
  std::unique_ptr<host::Loop::Timer> wake_, later_;
};

}  // namespace vireo::vmm
