// Bytes in through a file descriptor, no faster than the sink takes them.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "chardev/api/channel.h"
#include "host/loop.h"

namespace vireo::chardev {

class StreamInput {
 public:
  /// Bytes read ahead of the sink. Reading ahead at all is for the filter: Ctrl-] must work when the guest does not
  /// read.
  static constexpr std::size_t kReadAhead = 4096;

  /// `filter` sees every byte first, on the loop's thread, and returns false for one that is not for the sink; may be
  /// empty. A closed `fd` (-1) is an input that has ended.
  /// `ended` is called once, on the loop's thread, when there will be no more; may be empty.
  StreamInput(host::Loop& loop, host::Fd fd, std::function<bool(u8)> filter, std::function<void()> ended = {});
  ~StreamInput();

  /// Waits for a call into the former sink to end.
  void set_sink(ByteSink* sink);
  /// The sink has room again. Any thread; cheap.
  void resume();

 private:
  void serve();
  void read_more();
  void deliver();

  const host::Fd fd_;
  const std::function<bool(u8)> filter_;
  const std::function<void()> on_end_;
  bool ended_ = false;     ///< end of file or error; loop thread
  bool pollable_ = true;   ///< a regular file is not, but never makes one wait either
  std::vector<u8> queue_;  ///< read and filtered, not delivered; loop thread

  std::mutex sink_mutex_;  ///< held while the sink is called
  ByteSink* sink_ = nullptr;

  std::unique_ptr<host::Loop::Watcher> watcher_;
  std::unique_ptr<host::Loop::Timer> wake_;
};

}  // namespace vireo::chardev
