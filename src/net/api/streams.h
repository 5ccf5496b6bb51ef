// Where a guest's vsock connections end on the host: byte streams by port number.
//
//   device (StreamPort) --connect(port)--> StreamBackend ---> somebody who listens on the host
//                       <--incoming(port, stream)--      <--- somebody who connects
//
// A stream is read and written without waiting. It remembers that there may be something to read or space to write
// until a call finds none, so that a device need not try; wait_for() says which of the two it wants to be woken for.
//
// Threads: everything is called on the event loop's thread, but for wake(), and for a machine that stands still or is
// not running yet, whose owner may call from its own.
#pragma once

#include <memory>
#include <span>

#include "base/types.h"

namespace vireo::net {

class Stream {
 public:
  virtual ~Stream() = default;

  /// Whether somebody is at the other end. One that has come stays there, and is read to its end.
  enum class State : u8 { Coming, There, Refused };
  virtual State state() const = 0;
  /// To the one who connected: the guest has taken the connection, which has this port at the host's end.
  virtual void confirm(u32 host_port) = 0;

  virtual bool may_read() const = 0;
  virtual bool may_write() const = 0;
  struct Moved {
    std::size_t count = 0;
    bool ended = false;  ///< no more will go this way
  };
  virtual Moved read(std::span<u8> to) = 0;
  virtual Moved write(std::span<const u8> from) = 0;
  /// The other end finds the end of the stream, and may go on writing.
  virtual void end_writing() = 0;
  /// The other end is gone altogether.
  virtual bool gone() const = 0;
  /// StreamPort::serve() is wanted when there is something to read, or space to write.
  virtual void wait_for(bool input, bool space) = 0;
};

/// The device.
class StreamPort {
 public:
  virtual ~StreamPort() = default;
  /// Some stream has become what it was waited for, its state has changed, or wake() was called.
  virtual void serve() = 0;
  /// Somebody connects to a port of the guest. One that is not wanted is destroyed.
  virtual void incoming(u32 guest_port, std::unique_ptr<Stream> stream) = 0;
};

class StreamBackend {
 public:
  virtual ~StreamBackend() = default;
  virtual void attach(StreamPort& port) = 0;
  /// The port is not called any more. While the loop does not run, or on its thread.
  virtual void detach() = 0;
  /// The guest connects to a port of the host.
  virtual std::unique_ptr<Stream> connect(u32 host_port) = 0;
  /// StreamPort::serve() is called soon. Any thread.
  virtual void wake() = 0;
};

}  // namespace vireo::net
