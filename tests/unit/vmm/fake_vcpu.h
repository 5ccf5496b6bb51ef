// A vCPU without a guest: run() sleeps until it is kicked or told how to end.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "vm/engine/engine.h"

namespace vireo::vmm {

class FakeVcpu final : public vm::Vcpu {
 public:
  explicit FakeVcpu(unsigned id) : id_(id) {}

  unsigned id() const override { return id_; }
  vm::Exit run() override {
    std::unique_lock lock(mutex_);
    ++runs;
    running_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return kicked_ || next_; });
    running_ = false;
    if (next_) return *std::exchange(next_, std::nullopt);
    kicked_ = false;
    return {};
  }
  void kick() override {
    const std::lock_guard lock(mutex_);
    kicked_ = true;
    changed_.notify_all();
  }
  vm::x86::CpuState state() override { return {}; }
  Result<> set_state(const vm::x86::CpuState&) override { return {}; }

  /// The run() that is on, or the next one, ends like this.
  void end_with(vm::Exit exit) {
    const std::lock_guard lock(mutex_);
    next_ = std::move(exit);
    changed_.notify_all();
  }
  void await_running() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return running_ && !kicked_; });
  }
  bool running() {
    const std::lock_guard lock(mutex_);
    return running_;
  }
  std::atomic<unsigned> runs = 0;

 private:
  const unsigned id_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool kicked_ = false, running_ = false;
  std::optional<vm::Exit> next_;
};

}  // namespace vireo::vmm
