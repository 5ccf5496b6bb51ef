// Where serial bytes go to and come from: a terminal, a pipe, a file, nothing.
//
//   device (ByteSink) <--receive-- ByteChannel --> the outside
//                     ---write--->
//
// Both directions have flow control, so nothing is lost: a channel reads ahead no further than its own small buffer
// while the sink has no room, and tells the sink to hold back while its output is stuck.
//
// Threads: the sink is called on the event loop's thread; the channel is called from any thread. A device calls its
// channel without holding a lock that receive(), room() or output_ready() take.
#pragma once

#include <span>

#include "base/types.h"

namespace vireo::chardev {

/// The device's side.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  /// How many bytes receive() takes now. After 0 the channel asks again only when resume_input() was called.
  virtual std::size_t room() = 0;
  /// At most room() bytes.
  virtual void receive(std::span<const u8> bytes) = 0;
  /// write() had returned false and there is space again.
  virtual void output_ready() = 0;
};

class ByteChannel {
 public:
  virtual ~ByteChannel() = default;
  /// Sends `bytes`, all of them, in order. Cheap: they are buffered, and written out within about a millisecond by the
  /// event loop. False: they were taken too, but the outside does not keep up; the sink should write no more until
  /// output_ready(). If it does, the call may wait up to 100 ms for space before the buffer grows.
  virtual bool write(std::span<const u8> bytes) = 0;
  /// Returns when everything written is out, or nobody has taken a byte for ten seconds. For the end of the process and
  /// for tests; works whether the loop runs or not.
  virtual void flush() = 0;
  /// Who gets the input; nullptr for nobody. Once it returns the former sink is not called any more.
  virtual void set_sink(ByteSink* sink) = 0;
  /// The sink has room again.
  virtual void resume_input() = 0;
};

}  // namespace vireo::chardev
