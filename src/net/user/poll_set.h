// The descriptors that libslirp waits for, as one descriptor that a loop can wait for: an epoll set inside the loop's.
//
// libslirp tells all of them anew each time before it sleeps; only what changed costs a system call. Not locked.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/fd.h"

namespace vireo::net {

class PollSet {
 public:
  static Result<PollSet> create();
  int fd() const { return epoll_.get(); }

  /// The descriptors that are not wanted again until end() leave the set.
  void begin() { ++round_; }
  /// EPOLLIN and so on; 0 to hear nothing, not even errors.
  void want(int fd, u32 events);
  void end();
  /// `fd` was opened or is about to be closed: what is known of its number is void.
  void forget(int fd);

  /// Learns what is ready.
  void collect();
  /// Of what collect() learned; EPOLLIN and so on.
  u32 ready(int fd) const;

 private:
  struct Entry {
    u32 events = 0;  ///< in the kernel's set, 0: not in it
    u32 ready = 0;
    u64 round = 0;
  };
  Entry& entry(int fd);
  void change(int fd, Entry& entry, u32 events);

  host::Fd epoll_;
  std::vector<Entry> entries_;  ///< by descriptor
  std::vector<int> listed_;     ///< those with events
  std::vector<int> ready_;
  u64 round_ = 0;
};

}  // namespace vireo::net
