// Every millisecond or so all vCPUs are stopped and their states taken from the interpreter to another engine, or back:
// what saving on one engine and restoring on the other does, as often as a case lasts.
#include <condition_variable>
#include <random>

#include "base/log.h"
#include "cpu/kvm/cpuid.h"
#include "cpu/kvm/kvm.h"
#include "cpu/x86/cpuid_model.h"
#include "engines.h"

namespace vireo::test {
namespace {

/// Stops and moves the vCPUs.
class Mover {
 public:
  /// `silent`: one of them writes guest memory without a note.
  Mover(TinyMachine& machine, std::unique_ptr<Engine> first, std::unique_ptr<Engine> second, bool silent)
      : machine_(machine), sides_{{std::move(first), std::move(second)}}, silent_(silent) {
    thread_ = std::thread([this] { serve(); });
  }
  ~Mover() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  vm::Vcpu& current(unsigned cpu) { return *sides_[side_]->vcpus()[cpu]; }
  std::size_t cpus() { return sides_[0]->vcpus().size(); }

  /// Around run() of the current side.
  void enter() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !moving_; });
    ++running_;
  }
  /// False: the run ended because of a move.
  bool leave() {
    const std::lock_guard lock(mutex_);
    --running_;
    changed_.notify_all();
    return !moving_;
  }
  void kick(unsigned cpu) {
    const std::lock_guard lock(mutex_);
    current(cpu).kick();
  }
  Result<> error() {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  void serve() {
    std::mt19937 random(1);
    std::unique_lock lock(mutex_);
    while (!stop_ && error_) {
      const auto pause = std::chrono::microseconds(200 + random() % 1500);
      if (changed_.wait_for(lock, pause, [this] { return stop_; })) return;
      moving_ = true;
      for (unsigned cpu = 0; cpu < cpus(); ++cpu) current(cpu).kick();
      changed_.wait(lock, [this] { return running_ == 0; });
      error_ = move();
      moving_ = false;
      changed_.notify_all();
    }
  }
  Result<> move() {
    const unsigned other = 1 - side_;
    if (silent_) machine_.memory().note_write(0, machine_.memory().size());
    for (unsigned cpu = 0; cpu < cpus(); ++cpu) TRY(sides_[other]->vcpus()[cpu]->set_state(current(cpu).state()));
    side_ = other;
    sides_[side_]->connect(machine_);
    return {};
  }

  TinyMachine& machine_;
  const std::array<std::unique_ptr<Engine>, 2> sides_;
  const bool silent_;
  std::mutex mutex_;  ///< of what follows; side_ is read without it by running vCPUs, while nothing moves
  std::condition_variable changed_;
  unsigned side_ = 0, running_ = 0;
  bool moving_ = false, stop_ = false;
  Result<> error_;
  std::thread thread_;
};

class MovingVcpu final : public vm::Vcpu {
 public:
  MovingVcpu(Mover& mover, unsigned id) : mover_(mover), id_(id) {}
  unsigned id() const override { return id_; }
  vm::Exit run() override {
    for (;;) {
      if (kicked_.exchange(false)) return {};
      if (const auto error = mover_.error(); !error) return {vm::ExitReason::Failed, error.error().message};
      mover_.enter();
      auto exit = mover_.current(id_).run();
      mover_.leave();
      if (exit.reason != vm::ExitReason::Kicked) return exit;
    }
  }
  void kick() override {
    kicked_ = true;
    mover_.kick(id_);
  }
  vm::x86::CpuState state() override { return mover_.current(id_).state(); }
  Result<> set_state(const vm::x86::CpuState& state) override { return mover_.current(id_).set_state(state); }

 private:
  Mover& mover_;
  const unsigned id_;
  std::atomic<bool> kicked_{false};
};

class MoveEngine final : public Engine {
 public:
  MoveEngine(TinyMachine& machine, std::unique_ptr<Engine> first, std::unique_ptr<Engine> second, unsigned cpus,
             bool silent)
      : mover_(machine, std::move(first), std::move(second), silent) {
    for (unsigned id = 0; id < cpus; ++id) vcpus_.push_back(std::make_unique<MovingVcpu>(mover_, id));
  }
  void connect(TinyMachine&) override {}
  std::vector<vm::Vcpu*> vcpus() override {
    std::vector<vm::Vcpu*> list;
    for (const auto& vcpu : vcpus_) list.push_back(vcpu.get());
    return list;
  }

 private:
  Mover mover_;
  std::vector<std::unique_ptr<MovingVcpu>> vcpus_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_move_engine(TinyMachine& machine, unsigned cpus) {
  TRY_ASSIGN(auto second, make_kvm_engine(machine, cpus));
  TRY_ASSIGN(auto kvm, cpu::kvm::KvmVm::create(machine.memory()));
  // The interpreter tells the guest no more than KVM can.
  TRY_ASSIGN(auto first, make_interpret_engine(machine, cpus, &kvm->supported()));
  return std::make_unique<MoveEngine>(machine, std::move(first), std::move(second), cpus, true);
}

Result<std::unique_ptr<Engine>> make_move_translate_engine(TinyMachine& machine, unsigned cpus,
                                                           const cpu::translate::Options& options) {
  TRY_ASSIGN(auto second, make_translate_engine(machine, cpus, options));
  TRY_ASSIGN(auto first, make_interpret_engine(machine, cpus));
  return std::make_unique<MoveEngine>(machine, std::move(first), std::move(second), cpus, false);
}

}  // namespace vireo::test
