// How a back end reaches its port, and how the port can leave.
#pragma once

#include <condition_variable>
#include <mutex>

#include "net/api/backend.h"

namespace vireo::net {

class Gate {
 public:
  void attach(Port& port) {
    const std::lock_guard lock(mutex_);
    port_ = &port;
  }
  /// Returns when nobody is inside.
  void detach() {
    std::unique_lock lock(mutex_);
    port_ = nullptr;
    empty_.wait(lock, [this] { return inside_ == 0; });
  }

  /// Calls `call` with the port, unless there is none; false then. The caller holds no lock that whoever detaches it
  /// holds.
  template <class Call>
  bool pass(Call call) {
    Port* port = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (port_ == nullptr) return false;
      port = port_;
      ++inside_;
    }
    call(*port);
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0) empty_.notify_all();
    return true;
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  Port* port_ = nullptr;
  unsigned inside_ = 0;
};

}  // namespace vireo::net
