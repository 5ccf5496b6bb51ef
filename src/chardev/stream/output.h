// Bytes out through a file descriptor: buffered, written by the event loop, never lost, never blocking a vCPU for long.
//
// The first byte into an empty buffer arms a timer; the loop writes the whole batch a moment later. While the
// descriptor takes nothing the buffer fills, and writers are slowed down (see ByteChannel::write). An error of the
// descriptor (EPIPE: the reader is gone) ends the output: from then on bytes are dropped.
//
// Where a reader may be absent for good, WhenStuck::Drop keeps it from holding up the writer: once nothing was taken
// for a second, what waits is dropped, and so is what follows, until the descriptor takes bytes again.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "host/loop.h"

namespace vireo::chardev {

class StreamOutput {
 public:
  /// Above kLow bytes write() returns false, above kHigh it waits.
  static constexpr std::size_t kLow = 32 * 1024, kHigh = 64 * 1024;

  enum class WhenStuck : u8 { Wait, Drop };

  /// `fd` need not be in non-blocking mode, and its mode is not changed: others may share it. `ready` is called on the
  /// loop's thread when write() had returned false and the buffer has emptied.
  StreamOutput(host::Loop& loop, host::Fd fd, std::function<void()> ready, WhenStuck when_stuck = WhenStuck::Wait);
  /// Flushes.
  ~StreamOutput();

  bool write(std::span<const u8> bytes);
  void flush();
  /// The reader is not to get more: what waits is dropped, and what follows.
  void abandon();
  /// Replaces the call-back; waits for one that runs.
  void set_ready(std::function<void()> ready);

 private:
  bool write_some();
  void serve();
  void give_up_if_stuck();
  std::size_t write_once(std::span<const u8> bytes, bool& would_block);

  host::Loop& loop_;
  const host::Fd fd_;
  const WhenStuck when_stuck_;
  bool socket_ = false;

  std::mutex io_mutex_;      ///< who writes to the descriptor; taken before mutex_
  std::vector<u8> writing_;  ///< under io_mutex_
  std::size_t written_ = 0;  ///< of writing_
  bool closing_ = false;     ///< watcher and timer are being destroyed, and serve() keeps off them

  std::mutex mutex_;
  std::condition_variable space_;
  std::vector<u8> pending_;
  std::size_t queued_ = 0;  ///< pending_ and what is not written of writing_
  bool held_back_ = false;  ///< write() returned false
  bool broken_ = false;
  bool dropping_ = false;  ///< stuck, and nobody waits for that
  u64 progress_ns_ = 0;    ///< when a byte was taken last, or began to wait

  std::mutex ready_mutex_;  ///< held while ready_ runs
  std::function<void()> ready_;

  std::unique_ptr<host::Loop::Watcher> watcher_;
  std::unique_ptr<host::Loop::Timer> timer_;
};

}  // namespace vireo::chardev
