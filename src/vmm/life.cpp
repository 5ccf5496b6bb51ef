#include "vmm/life.h"

#include "base/log.h"
#include "vmm/registers.h"

namespace vireo::vmm {

void Life::own(Machine& machine, CpuThreads& cpus, OnCrash on_crash, AfterSave after_save) {
  machine_ = &machine;
  cpus_ = &cpus;
  on_crash_ = on_crash;
  after_save_ = after_save;
}

void Life::wish(const std::function<void(Wishes&)>& set) {
  const std::lock_guard lock(mutex_);
  set(wishes_);
  if (!posted_) loop_.post([this] { serve(); });
  posted_ = true;
}

void Life::request(Request what) {
  if (cpus_ != nullptr) cpus_->hold();
  wish([&](Wishes& wishes) { (what == Request::PowerOff ? wishes.power_off : wishes.reset) = true; });
}

void Life::cpu_ended(unsigned cpu, vm::Exit exit) {
  wish([&](Wishes& wishes) {
    if (!wishes.crash) wishes.crash = {cpu, std::move(exit)};
  });
}

void Life::ask_for_power_off() {
  wish([](Wishes& wishes) { (wishes.button ? wishes.plug : wishes.button) = true; });
}

void Life::pull_plug() {
  wish([](Wishes& wishes) { wishes.plug = true; });
}

void Life::ask_for_save() {
  wish([](Wishes& wishes) { wishes.save = true; });
}

void Life::ask_for_stats() {
  wish([](Wishes& wishes) { wishes.stats = true; });
}

void Life::start() {
  cpus_->start();
  resume();
}

void Life::serve() {
  // Parked first, looked at afterwards: what a vCPU asked for last is among the wishes.
  bool button = false, pause = false;
  {
    const std::lock_guard lock(mutex_);
    posted_ = false;
    button = std::exchange(wishes_.button, false);
    pause = wishes_.plug || wishes_.power_off || wishes_.reset || wishes_.save || wishes_.stats || wishes_.crash;
  }
  if (state_ != State::Running) return;
  if (button && std::exchange(button_pressed_, true)) return stop(0);
  if (button) machine_->press_power_button();
  if (!pause) return;

  cpus_->pause();
  machine_->set_time(false);
  state_ = State::Paused;
  Wishes wishes;
  {
    const std::lock_guard lock(mutex_);
    wishes = std::exchange(wishes_, {});
  }
  if (wishes.stats) machine_->write_stats();
  if (wishes.plug) return stop(0);
  if (wishes.power_off) return stop(0);
  if (wishes.reset) return reboot();
  if (wishes.crash) return crashed(*wishes.crash);
  if (wishes.save) return save();
  resume();
}

void Life::crashed(const Wishes::Crash& crash) {
  const bool failed = crash.exit.reason == vm::ExitReason::Failed;
  constexpr unsigned kReported = 5;  // a guest may crash as often as it likes
  const bool last = failed || on_crash_ == OnCrash::Stop;
  if (!last && ++crashes_ > kReported) return reboot();
  log::error("CPU {}: {}\n{}", crash.cpu, failed ? crash.exit.message : "triple fault",
             describe_registers(cpus_->vcpus()[crash.cpu]->state()));
  if (last) return stop(1);
  log::warning("rebooting the machine (--on-crash reboot){}",
               crashes_ == kReported ? "; further crashes are not reported" : "");
  reboot();
}

void Life::reboot() {
  button_pressed_ = false;
  if (auto booted = machine_->boot(); !booted) {
    log::error("the machine cannot be rebooted: {}", booted.error().message);
    return stop(1);
  }
  resume();
}

void Life::save() {
  const bool last = after_save_ == AfterSave::Stop;
  const auto saved = machine_->save(last);
  if (!saved) log::error("the machine is not saved: {}", saved.error().message);
  if (saved && last) return stop(0);
  resume();
  if (saved) machine_->finish_save();
}

void Life::resume() {
  state_ = State::Running;
  machine_->set_time(true);
  cpus_->resume();
}

void Life::stop(int exit_code) {
  cpus_->hold();
  state_ = State::Stopped;
  exit_code_ = exit_code;
  loop_.stop();
}

}  // namespace vireo::vmm
