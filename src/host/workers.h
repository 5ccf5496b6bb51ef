// Threads for what blocks: work is queued and done by as many threads as it keeps busy, up to a limit.
//
// A thread is started when work arrives and none is idle, so that a process may restrict itself (host/sandbox.h) after
// the object was made. Threads: post() from any thread. The destructor does all that is queued first.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace vireo::host {

class Workers {
 public:
  /// `name` (up to 15 characters, for ps) outlives it.
  Workers(const char* name, unsigned most) : name_(name), most_(most) {}
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Work does not throw. It may post more.
  void post(std::function<void()> work);

 private:
  void run();

  const char* name_;
  const unsigned most_;
  std::mutex mutex_;  ///< guards everything below
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stop_ = false;
};

}  // namespace vireo::host
