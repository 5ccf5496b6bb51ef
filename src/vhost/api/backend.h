// What serves a device's requests in another process: queues of requests by number, each answered once.
//
//   device (Port) --submit--> Backend ---> another process
//                 <--take_done--      <---
//
// Requests are pieces of guest memory, or of scratch(). While one is on its way the other process reads and writes them
// at any moment. It is not trusted with anything else: what it answers is checked, and one that breaks the rules, ends
// or hangs is given up. Requests on their way then are nobody's any more.
//
// Threads: calls about one queue come from one thread at a time; Port's calls come on the event loop's thread.
#pragma once

#include <sys/uio.h>

#include <optional>
#include <span>

#include "base/types.h"

namespace vireo::vhost {

/// The device.
class Port {
 public:
  virtual ~Port() = default;
  /// Some requests of the queue are done, or there is space again.
  virtual void done(unsigned queue) = 0;
  /// The other process is given up.
  virtual void lost() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual void attach(Port& port) = 0;
  /// The port is not called any more. While the loop does not run, or on its thread.
  virtual void detach() = 0;

  /// The largest number of requests, and of pieces, on their way at a time; tickets are below it.
  static constexpr u16 kSize = 1024;
  /// A ticket; nothing while there is no space, for the present.
  virtual std::optional<u16> submit(unsigned queue, std::span<const iovec> readable,
                                    std::span<const iovec> writable) = 0;
  /// Tells of what was submitted.
  virtual void kick(unsigned queue) = 0;
  struct Done {
    u16 ticket = 0;
    u32 written = 0;  ///< at most what was writable
  };
  virtual std::optional<Done> take_done(unsigned queue) = 0;
  /// Returns soon, and at once when something is done. Called again and again in vain it gives the other process up.
  virtual void wait(unsigned queue) = 0;
  virtual bool lost() const = 0;

  /// For requests of the device's own: memory that the other process sees.
  virtual std::span<u8> scratch() = 0;
};

}  // namespace vireo::vhost
