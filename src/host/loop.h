// The event loop of a VM's process: one thread that waits for file descriptors, timers, signals and posted work.
//
// The loop sleeps in epoll_wait without a time-out; timers are one timerfd, so an idle loop uses no CPU at all and
// arming a timer from another thread needs no wake-up.
//
// Threads: run() belongs to one thread, on which every call-back runs with no lock held. Everything else may be called
// from any thread, before, during and after run(). Destroying a Watcher or Timer ends its call-back: on another thread
// it waits until a call that runs right now is finished, so do not hold a lock that the call-back takes. Handles must
// not outlive the loop. Call-backs do not throw.
#pragma once

#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::host {

class Loop {
  struct Source;

 public:
  static Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Serves until stop().
  void run();
  /// Sticky: ends the run() that is on, or else the next one, after the call-backs that are due already.
  void stop();
  /// True on the thread that is inside run().
  bool on_thread() const;

  /// `work` runs once on the loop's thread, in the order of posting. Work that is still waiting when the loop is
  /// destroyed is dropped.
  void post(std::function<void()> work);

  /// A file descriptor that is waited for, level triggered. The descriptor stays the caller's and must stay open.
  class Watcher {
   public:
    ~Watcher();
    /// EPOLLIN, EPOLLOUT, or 0 to hear nothing, not even errors. Fails (EPERM) for what cannot be waited for, such as a
    /// regular file.
    Result<> set_events(u32 events);

   private:
    friend Loop;
    Watcher(Loop& loop, std::shared_ptr<Source> source) : loop_(loop), source_(std::move(source)) {}
    Loop& loop_;
    std::shared_ptr<Source> source_;
  };
  /// Starts with no events.
  std::unique_ptr<Watcher> watch(int fd, std::function<void(u32 events)> ready);

  /// One-shot timer on CLOCK_MONOTONIC. `arm(0)` makes it a wake-up that may be triggered from any thread, many at once
  /// being one.
  class Timer {
   public:
    ~Timer();
    /// (Re)arms; a deadline that has passed expires at once.
    void arm(u64 deadline_ns);
    /// No new call-back starts afterwards; one that runs already may still finish.
    void cancel();

   private:
    friend Loop;
    Timer(Loop& loop, std::shared_ptr<Source> source) : loop_(loop), source_(std::move(source)) {}
    Loop& loop_;
    std::shared_ptr<Source> source_;
  };
  std::unique_ptr<Timer> make_timer(std::function<void()> expired);

  /// Blocks `signo` in the calling thread and takes it through the loop from now on. Threads inherit the mask, so call
  /// it before any other thread is started. A second call for the same signal replaces the call-back.
  Result<> add_signal(int signo, std::function<void()> caught);

  /// CLOCK_MONOTONIC.
  static u64 now_ns();

 private:
  Loop() = default;
  Result<> open();
  void call(const std::shared_ptr<Source>& source, u32 events);
  void retire(Source& source);
  void expire_timers();
  void program_locked(u64 deadline_ns);
  void run_posted();
  void take_signals();

  Fd epoll_, wake_, timer_, signals_;
  std::atomic<std::thread::id> thread_{};
  std::atomic<bool> stop_{false};

  std::mutex mutex_;  ///< guards everything below, and every Source
  std::condition_variable idle_;
  const Source* running_ = nullptr;
  std::vector<std::function<void()>> posted_;
  std::map<u64, std::shared_ptr<Source>> watched_;
  u64 next_id_ = 1;
  std::set<std::pair<u64, Source*>> armed_;
  u64 programmed_ = ~u64{0};  ///< what the timerfd is set to; never later than the first of armed_
  std::map<int, std::function<void()>> signal_calls_;
  sigset_t signal_mask_{};
};

}  // namespace vireo::host
