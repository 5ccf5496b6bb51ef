// How many requests are under way, and somebody who waits until there are none.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/types.h"

namespace vireo::block {

class InFlight {
 public:
  void begin() {
    const std::lock_guard lock(mutex_);
    ++count_;
  }
  void end() {
    // Under the lock: whoever waits may destroy this as soon as he knows.
    const std::lock_guard lock(mutex_);
    if (--count_ == 0) none_.notify_all();
  }
  void drain() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  u64 count_ = 0;
};

}  // namespace vireo::block
