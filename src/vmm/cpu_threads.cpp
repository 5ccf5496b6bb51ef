#include "vmm/cpu_threads.h"

#include "host/thread.h"

namespace vireo::vmm {

CpuThreads::CpuThreads(std::vector<vm::Vcpu*> vcpus, std::function<void(unsigned, vm::Exit)> ended)
    : vcpus_(std::move(vcpus)), ended_(std::move(ended)), numbers_(vcpus_.size()) {}

CpuThreads::~CpuThreads() {
  {
    const std::lock_guard lock(mutex_);
    held_ = quit_ = true;
  }
  kick_all();
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void CpuThreads::start() {
  threads_.reserve(vcpus_.size());
  for (unsigned cpu = 0; cpu < vcpus_.size(); ++cpu) threads_.emplace_back([this, cpu] { serve(cpu); });
  pause();
}

void CpuThreads::kick_all() {
  for (auto* vcpu : vcpus_) vcpu->kick();
}

void CpuThreads::hold() {
  {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  kick_all();
}

void CpuThreads::pause() {
  hold();
  std::unique_lock lock(mutex_);
  all_parked_.wait(lock, [this] { return parked_ == threads_.size(); });
}

void CpuThreads::resume() {
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
  }
  changed_.notify_all();
}

void CpuThreads::serve(unsigned cpu) {
  host::name_thread(fmt::format("vcpu{}", cpu).c_str());
  numbers_[cpu] = host::thread_number();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (held_) {
      if (++parked_ == vcpus_.size()) all_parked_.notify_all();
      changed_.wait(lock, [this] { return !held_ || quit_; });
      --parked_;
    }
    if (quit_) return;
    lock.unlock();
    auto exit = vcpus_[cpu]->run();
    if (exit.reason != vm::ExitReason::Kicked) {
      hold();
      ended_(cpu, std::move(exit));
    }
    lock.lock();
  }
}

}  // namespace vireo::vmm
