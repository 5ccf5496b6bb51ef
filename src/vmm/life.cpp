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
  wish([&](Wishes& wishes) {
    if (what == Request::PowerOff) {
      wishes.power_off = true;
    } else {
      wishes.reset = Cause::GuestReset;
    }
  });
}

void Life::cpu_ended(unsigned cpu, vm::Exit exit) {
  wish([&](Wishes& wishes) {
    if (!wishes.crash) wishes.crash = {cpu, std::move(exit)};
  });
}

void Life::ask_for_power_off() {
  wish([](Wishes& wishes) {
    if (wishes.button) wishes.plug = Cause::HostSignal;
    wishes.button = true;
  });
}

void Life::pull_plug(Cause cause) {
  wish([&](Wishes& wishes) { wishes.plug = cause; });
}

void Life::ask_for_save() {
  wish([](Wishes& wishes) { wishes.save = true; });
}

void Life::ask_for_stats() {
  wish([](Wishes& wishes) { wishes.stats = true; });
}

void Life::ask_for_work(std::function<void()> work) {
  if (cpus_ != nullptr) cpus_->hold();
  wish([&](Wishes& wishes) { wishes.work.push_back(std::move(work)); });
}

// Serves at once, and finds nothing when the posted call comes.
void Life::ask_now(const std::function<void(Wishes&)>& set) {
  wish(set);
  serve();
}

void Life::pause() {
  ask_now([](Wishes& wishes) { wishes.paused = true; });
}

void Life::go_on() {
  ask_now([](Wishes& wishes) { wishes.paused = false; });
}

void Life::reset() {
  ask_now([](Wishes& wishes) { wishes.reset = Cause::ControlReset; });
}

void Life::press_button() {
  ask_now([](Wishes& wishes) { wishes.press = true; });
}

void Life::while_parked(std::function<void()> work) {
  ask_now([&](Wishes& wishes) { wishes.work.push_back(std::move(work)); });
}

void Life::tell(LifeEvent::Kind kind, Cause cause) {
  if (observer_) observer_({kind, cause});
}

void Life::start() {
  cpus_->start();
  resume();
}

/// False when that was the end.
bool Life::serve_buttons(bool button, bool press) {
  if (button && std::exchange(button_pressed_, true)) {
    stop(0, Cause::HostSignal);
    return false;
  }
  if (!button && !press) return true;
  machine_->press_power_button();
  tell(LifeEvent::Kind::ButtonPressed);
  return true;
}

void Life::serve() {
  // Parked first, looked at afterwards: what a vCPU asked for last is among the wishes.
  bool button = false, press = false, park = false;
  {
    const std::lock_guard lock(mutex_);
    posted_ = false;
    button = std::exchange(wishes_.button, false);
    press = std::exchange(wishes_.press, false);
    park = wishes_.plug || wishes_.power_off || wishes_.reset || wishes_.save || wishes_.stats || wishes_.crash ||
           wishes_.paused || !wishes_.work.empty();
  }
  if (state_ != State::Running && state_ != State::Paused) return;
  if (!serve_buttons(button, press) || !park) return;

  cpus_->pause();
  if (state_ == State::Running) machine_->set_time(false);
  const bool was_paused = std::exchange(state_, State::Paused) == State::Paused;
  Wishes wishes;
  {
    const std::lock_guard lock(mutex_);
    wishes = std::exchange(wishes_, {});
  }
  for (const auto& work : wishes.work) work();
  if (wishes.stats) machine_->write_stats();
  if (wishes.plug) return stop(0, *wishes.plug);
  if (wishes.power_off) return stop(0, Cause::GuestShutdown);
  if (wishes.paused) paused_ = *wishes.paused;
  if (paused_ && !was_paused) tell(LifeEvent::Kind::Paused);
  if (!paused_ && was_paused) tell(LifeEvent::Kind::GoesOn);
  if (wishes.reset) return reboot(*wishes.reset);
  if (wishes.crash) return crashed(*wishes.crash);
  if (wishes.save) return save();
  resume();
}

void Life::crashed(const Wishes::Crash& crash) {
  const bool failed = crash.exit.reason == vm::ExitReason::Failed;
  constexpr unsigned kReported = 5;  // a guest may crash as often as it likes
  const bool last = failed || on_crash_ == OnCrash::Stop;
  if (!last && ++crashes_ > kReported) return reboot(Cause::GuestPanic);
  log::error("CPU {}: {}\n{}", crash.cpu, failed ? crash.exit.message : "triple fault",
             describe_registers(cpus_->vcpus()[crash.cpu]->state()));
  if (last) return stop(1, failed ? Cause::HostError : Cause::GuestPanic);
  log::warning("rebooting the machine (--on-crash reboot){}",
               crashes_ == kReported ? "; further crashes are not reported" : "");
  reboot(Cause::GuestPanic);
}

void Life::reboot(Cause cause) {
  button_pressed_ = false;
  if (auto booted = machine_->boot(); !booted) {
    log::error("the machine cannot be rebooted: {}", booted.error().message);
    return stop(1, Cause::HostError);
  }
  tell(LifeEvent::Kind::Reset, cause);
  resume();
}

void Life::save() {
  const bool last = after_save_ == AfterSave::Stop;
  const auto saved = machine_->save(last);
  if (!saved) log::error("the machine is not saved: {}", saved.error().message);
  if (saved && last) return stop(0, Cause::HostSignal);
  resume();
  if (saved) machine_->finish_save();
}

void Life::resume() {
  if (paused_) return;
  state_ = State::Running;
  machine_->set_time(true);
  cpus_->resume();
}

void Life::stop(int exit_code, Cause cause) {
  cpus_->hold();
  state_ = State::Stopped;
  exit_code_ = exit_code;
  tell(LifeEvent::Kind::Stopped, cause);
  loop_.stop();
}

}  // namespace vireo::vmm
