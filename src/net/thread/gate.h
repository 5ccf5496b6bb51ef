// How a back end reaches its port, and how pause() keeps it from doing so.
#pragma once

#include <condition_variable>
#include <mutex>

#include "net/api/backend.h"

namespace vireo::net {

class Gate {
 public:
  /// Before any thread runs.
  void attach(Port& port) { port_ = &port; }

  /// Calls `call` with the port, unless it is closed or there is none; false then. The caller holds no lock that the
  /// port's users hold while they wait in close().
  template <class Call>
  bool pass(Call call) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || port_ == nullptr) return false;
      ++inside_;
    }
    call(*port_);
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0) empty_.notify_all();
    return true;
  }

  /// Returns when nobody is inside.
  void close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    empty_.wait(lock, [this] { return inside_ == 0; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    closed_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable empty_;
  Port* port_ = nullptr;
  bool closed_ = false;
  unsigned inside_ = 0;
};

}  // namespace vireo::net
