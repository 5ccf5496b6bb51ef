// A virtual machine's life, and its one owner.
//
//            start()            pause()            go_on()              the guest powers off, the plug is pulled,
//   Created ---------> Running ---------> Paused ---------> Running         a crash, quit
//                         |                 '-----------------'-------------------------------------------> Stopped
//                         '--> (parked for a moment: reset, save, work that needs a standing machine) --> Running
//
// The owner is the event loop's thread: it alone changes the state, and it alone touches the machine, while every vCPU
// is parked and guest time stands still. Everybody else posts a request: devices (power-off, reset) and vCPUs (an exit
// that is not a kick) from vCPU threads, signals and the console on the loop. A request that means that the guest must
// not go on holds the vCPUs at once, so that no instruction after a reset or power-off has an effect outside. Requests
// that wait are served together, the most final first: pull the plug, power-off, reset, crash, save (a guest may crash
// between its request and the next instruction boundary), and before them statistics; what was asked before a reset is
// void after it, but for the last word of a person about pause and go on: a machine that is reset or saved while
// it is paused is paused afterwards.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "host/loop.h"
#include "vm/device/device.h"
#include "vmm/config.h"
#include "vmm/cpu_threads.h"

namespace vireo::vmm {

/// Why a life took a turn.
enum class Cause : u8 {
  GuestShutdown,
  GuestReset,
  GuestPanic,
  HostError,
  HostSignal,
  HostUi,
  ControlQuit,
  ControlReset
};

/// A turn that has just been taken.
struct LifeEvent {
  enum class Kind : u8 { Paused, GoesOn, ButtonPressed, Reset, Stopped };
  Kind kind = Kind::Paused;
  Cause cause = Cause::GuestShutdown;  ///< of Reset and Stopped
};

/// What the owner does to the machine. Called on the loop's thread; all but the button with every vCPU parked.
class Machine {
 public:
  virtual ~Machine() = default;
  /// Guest time runs, or stands still.
  virtual void set_time(bool runs) = 0;
  /// Power-on: resets everything and loads the kernel.
  virtual Result<> boot() = 0;
  virtual void press_power_button() = 0;
  /// Writes the state down, all of it, or but for what needs no standing guest, which finish_save does.
  virtual Result<> save(bool complete) = 0;
  /// After a save that was not complete, once the guest runs again. Returns at once.
  virtual void finish_save() = 0;
  virtual void write_stats() = 0;
};

class Life final : public vm::PowerControl {
 public:
  enum class State : u8 { Created, Running, Paused, Stopped };

  explicit Life(host::Loop& loop) : loop_(loop) {}

  /// The parts that need this object to be built. They outlive the loop's run.
  void own(Machine& machine, CpuThreads& cpus, OnCrash on_crash, AfterSave after_save);
  /// For CpuThreads.
  void cpu_ended(unsigned cpu, vm::Exit exit);

  // Any thread.
  void request(Request what) override;
  void ask_for_power_off();  ///< the power button; the plug when it was pressed before
  void pull_plug(Cause cause);
  void ask_for_save();
  void ask_for_stats();
  /// `work` runs once on the owner's thread, with every vCPU parked and before the guest executes another instruction
  /// of the vCPU that asks. It must not ask this object for anything.
  void ask_for_work(std::function<void()> work);

  // Owner. What a person asks for, done when they return (unless something more final comes first).
  void pause();
  void go_on();
  void reset();
  void press_button();  ///< never pulls the plug
  void while_parked(std::function<void()> work);

  /// Hears of every turn, on the loop's thread, in the middle of it. Before start().
  void observe(std::function<void(const LifeEvent&)> observer) { observer_ = std::move(observer); }

  /// Owner: the machine, booted or restored, begins to run. The loop stops when its life is over.
  void start();
  State state() const { return state_; }
  /// Exit code of the process, once stopped.
  int exit_code() const { return exit_code_; }

 private:
  struct Wishes {
    std::optional<Cause> plug, reset;
    bool power_off = false, save = false, stats = false;
    bool button = false, press = false;  ///< the former becomes the plug, the latter does not
    std::optional<bool> paused;          ///< the last word
    std::vector<std::function<void()>> work;
    struct Crash {
      unsigned cpu = 0;
      vm::Exit exit;
    };
    std::optional<Crash> crash;
  };
  void wish(const std::function<void(Wishes&)>& set);
  void ask_now(const std::function<void(Wishes&)>& set);
  void serve();
  bool serve_buttons(bool button, bool press);
  void crashed(const Wishes::Crash& crash);
  void reboot(Cause cause);
  void save();
  void resume();
  void stop(int exit_code, Cause cause);
  void tell(LifeEvent::Kind kind, Cause cause = Cause::GuestShutdown);

  host::Loop& loop_;
  Machine* machine_ = nullptr;
  CpuThreads* cpus_ = nullptr;
  OnCrash on_crash_ = OnCrash::Stop;
  AfterSave after_save_ = AfterSave::GoOn;
  std::function<void(const LifeEvent&)> observer_;
  State state_ = State::Created;
  bool paused_ = false;  ///< a person wants it to stand still
  int exit_code_ = 0;
  bool button_pressed_ = false;
  unsigned crashes_ = 0;  ///< followed by a reboot

  std::mutex mutex_;
  Wishes wishes_;
  bool posted_ = false;
};

}  // namespace vireo::vmm
