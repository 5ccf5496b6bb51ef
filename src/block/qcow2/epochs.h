// When is nobody left who began before?
//
// A request looks up where its bytes are and then reads or writes them, with no lock held. What it found may be given
// up meanwhile; it must not be used for anything else before the request has ended. Requests therefore begin and end
// an epoch, and what is given up waits until all epochs up to then are over.
//
// Threads: any.
#pragma once

#include <map>
#include <mutex>

#include "base/types.h"

namespace vireo::block::qcow2 {

class Epochs {
 public:
  u64 begin() {
    const std::lock_guard lock(mutex_);
    ++active_[now_];
    return now_;
  }
  void end(u64 epoch) {
    const std::lock_guard lock(mutex_);
    const auto found = active_.find(epoch);
    if (--found->second == 0) active_.erase(found);
  }
  /// The next epoch: what begins from now on does not see what was given up before.
  u64 advance() {
    const std::lock_guard lock(mutex_);
    return ++now_;
  }
  /// No request is older.
  u64 oldest() const {
    const std::lock_guard lock(mutex_);
    return active_.empty() ? now_ : active_.begin()->first;
  }

 private:
  mutable std::mutex mutex_;
  u64 now_ = 1;
  std::map<u64, u64> active_;
};

}  // namespace vireo::block::qcow2
