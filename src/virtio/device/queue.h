// A queue of a virtio device: its ring while the driver has it enabled, and the interrupt that goes with it.
//
// Threads: the device takes mutex() around every call (interrupts are sent while it is held). A queue is held while the
// machine stands still or the device is being reset: pop() then finds nothing, and who reset or held it waits until
// what was popped has been pushed. It may be pushed at any time: when the driver has taken the ring away meanwhile
// nothing happens.
#pragma once

#include <array>
#include <atomic>
#include <mutex>

#include "virtio/ring/ring.h"

namespace vireo::virtio {

/// What a queue tells its transport. Any thread, with the queue's mutex held.
class QueueOwner {
 public:
  virtual ~QueueOwner() = default;
  virtual void queue_interrupt(unsigned queue) = 0;
  /// The driver broke the ring's rules.
  virtual void queue_broken(unsigned queue) = 0;
};

class Queue {
 public:
  Queue(QueueOwner& owner, unsigned index) : owner_(owner), index_(index) {}

  // ---- The device's side, with the mutex held

  std::mutex& mutex() { return mutex_; }
  unsigned index() const { return index_; }
  /// False: nothing is available, or nothing is to be begun now.
  bool pop(Chain& chain);
  /// `chain` was popped last.
  void undo(const Chain& chain);
  void push(const Chain& chain, u32 written) { push(std::array{Used(chain, written)}); }
  /// All at once, for the driver.
  void push(std::span<const Used> used);
  void disable_notifications();
  /// False: look again, there is something.
  bool enable_notifications();
  u16 size() const { return ring_ ? size_ : u16{0}; }

  /// Pops and pushes all that is there: `serve(chain)` gives the bytes written. Takes the mutex itself and keeps it. A
  /// driver that adds as fast as it is served must not keep a thread: after a queue's length it ends. True: there may
  /// be more, and the driver does not notify of it.
  template <class Serve>
  bool serve(Chain& chain, Serve serve_one) {
    const std::lock_guard lock(mutex_);
    disable_notifications();
    for (unsigned left = size(); left != 0; --left) {
      if (pop(chain)) {
        push(chain, serve_one(chain));
      } else if (enable_notifications()) {
        return false;
      } else {
        disable_notifications();
      }
    }
    return !enable_notifications();
  }

  // ---- The transport's side

  /// From now on the ring is there; not while chains of an earlier one are out.
  void attach(std::unique_ptr<Ring> ring, u16 size);
  /// The driver takes the ring away, or has broken it: what is out will find no ring.
  void detach();
  bool attached() const;
  void hold(bool on);
  RingPosition position() const;

  struct Counts {
    u64 notifications = 0;  ///< doorbells
    u64 chains = 0;         ///< pushed
    u64 interrupts = 0;
  };
  Counts counts() const;
  void count_notification() { notifications_.fetch_add(1, std::memory_order_relaxed); }

 private:
  bool live() const { return ring_ && !held_; }

  QueueOwner& owner_;
  const unsigned index_;
  mutable std::mutex mutex_;
  std::unique_ptr<Ring> ring_;
  u16 size_ = 0;
  bool held_ = false;
  std::atomic<u64> notifications_{0};
  u64 chains_ = 0, interrupts_ = 0;
};

}  // namespace vireo::virtio
