// The vCPUs' threads: one each, running guest code or parked.
//
// hold() asks every thread to park and may be called by anyone, a vCPU's own thread included; pause() is hold() and
// waits until all are parked, after which the caller may use the vCPUs and the machine as if it were alone; resume()
// lets them go. No stop is lost: the wish is set before the kick, a kick is sticky (vm/engine), and a thread looks at
// the wish before each run(). A vCPU whose run() ended for another reason than a kick reports it, holds everybody, and
// parks as well, so that whoever calls pause() next finds the report already made.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "vm/engine/engine.h"

namespace vireo::vmm {

class CpuThreads {
 public:
  /// `ended` is called on the vCPU's thread, without a lock; it must not wait for this class. The vCPUs outlive it.
  CpuThreads(std::vector<vm::Vcpu*> vcpus, std::function<void(unsigned cpu, vm::Exit exit)> ended);
  /// Parks and ends the threads.
  ~CpuThreads();

  /// Starts the threads; all are parked when it returns. Once; the threads inherit the caller's signal mask.
  void start();
  void hold();
  void pause();
  void resume();

  std::span<vm::Vcpu* const> vcpus() const { return vcpus_; }
  /// The host's number of a vCPU's thread; 0 before it has begun.
  int thread_number(unsigned cpu) const { return numbers_[cpu]; }

 private:
  void serve(unsigned cpu);
  void kick_all();

  const std::vector<vm::Vcpu*> vcpus_;
  const std::function<void(unsigned, vm::Exit)> ended_;

  std::mutex mutex_;
  std::condition_variable changed_, all_parked_;
  bool held_ = true;
  bool quit_ = false;
  std::size_t parked_ = 0;
  std::vector<std::atomic<int>> numbers_;
  std::vector<std::thread> threads_;
};

}  // namespace vireo::vmm
