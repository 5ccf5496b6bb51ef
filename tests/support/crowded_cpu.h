// A thread that shares its processor with another, which is always busy: it waits for its turn about half of the time.
#pragma once

#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace vireo::test {

class CrowdedCpu {
 public:
  /// Binds the calling thread, until destruction, to the processor it is on.
  CrowdedCpu() {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &here);
    ::sched_setaffinity(0, sizeof here, &here);
    rival_ = std::thread([this] {  // inherits the binding
      while (!stop_.load(std::memory_order_relaxed)) {
      }
    });
  }
  ~CrowdedCpu() {
    stop_ = true;
    rival_.join();
    ::sched_setaffinity(0, sizeof before_, &before_);
  }

  static void work_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
    }
  }

 private:
  cpu_set_t before_{};
  std::atomic<bool> stop_{false};
  std::thread rival_;
};

}  // namespace vireo::test
