// The network thread of a machine: one event loop that all its back ends share, so that the main loop (timers, console)
// never waits for a socket. It sleeps while nothing happens, and a machine without a network has none.
//
// Life: created with the machine, so that back ends can be wired to its loop; started once the sandbox is entered,
// which wants to come before any thread. Back ends are destroyed before it.
#pragma once

#include <memory>
#include <thread>

#include "host/loop.h"

namespace vireo::net {

class NetThread {
 public:
  static Result<std::unique_ptr<NetThread>> create();
  /// Stops it if it runs.
  ~NetThread();
  NetThread(const NetThread&) = delete;
  NetThread& operator=(const NetThread&) = delete;

  void start();
  /// Returns when it has ended. No call-back of its loop runs afterwards.
  void stop();
  host::Loop& loop() { return *loop_; }

 private:
  NetThread() = default;
  std::unique_ptr<host::Loop> loop_;
  std::thread thread_;
};

}  // namespace vireo::net
