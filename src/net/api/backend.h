// Where a NIC's frames go to and come from: the host's sockets (user), a tap device, another machine, nothing.
//
//   device (Port) ---send------>  Backend ---> the outside
//                 <--receive----          <---
//
// Both directions have flow control, and neither can fall asleep on the other:
//   - send() takes as many frames as the outside takes now. If it leaves any, Port::serve() is called later, when there
//     is room again, and the device goes on.
//   - receive() takes as many frames as the guest has given buffers for. If it leaves any, the back end keeps them and
//     stops reading from the outside; the device calls wake() once it has buffers again. A wake() that comes while
//     receive() is still running counts as one that comes after it.
// A device whose guest does not listen at all takes and drops.
//
// Threads: each back end has the network thread, which waits for the outside. send() comes from any thread, for one
// queue pair from one at a time; the work is done on the thread that calls, or, after wake(), on the network thread by
// Port::serve(). A back end calls receive() on the network thread or on a thread that is inside its send(), for one
// queue pair never twice at a time, and with none of its locks held. serve() and link_changed() come on the network
// thread only. A device may hold the lock of its transmit queue across send(), and none that receive() takes.
//
// Life: a device attaches itself before its guest runs, and goes with detach(), after which its port is not called any
// more. The machine is saved while its devices stand still, and take nothing; what arrives meanwhile waits.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "net/api/frame.h"

namespace vireo::net {

/// A device.
class Port {
 public:
  virtual ~Port() = default;
  /// Frames for the guest, in order, of one queue pair. How many of them were taken.
  virtual std::size_t receive(unsigned pair, std::span<const Frame> frames) = 0;
  /// wake() was called, or send() takes frames again: time to look for some, of every queue pair.
  virtual void serve() = 0;
  virtual void link_changed(bool up) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  /// What it can do with frames that are not finished; never changes.
  virtual Offloads send_offloads() const = 0;
  /// How many queue pairs it has, 1..kMaxPairs; never changes.
  virtual unsigned pairs() const { return 1; }
  static constexpr unsigned kMaxPairs = 8;

  virtual void attach(Port& port) = 0;
  /// Returns when no call of the port is running, and none will begin. Not on the network thread, nor with a lock that
  /// the port takes.
  virtual void detach() = 0;
  /// What frames for the guest may ask of it. A frame that asks for more is not delivered after this returns, but for
  /// one that the port is taking already. At first nothing.
  virtual void set_receive_offloads(Offloads offloads) = 0;
  /// The first `count` queue pairs are in use; at first one.
  virtual void use_pairs(unsigned count) = 0;

  /// How many of the frames were taken; the memory is the caller's again.
  virtual std::size_t send(unsigned pair, std::span<const Frame> frames) = 0;
  /// Port::serve() is called soon, and frames that receive() left are offered again. Cheap; any thread.
  virtual void wake() = 0;

  virtual bool link_up() const = 0;

  /// What of it goes with a saved machine, as bytes of its own format; empty: nothing.
  virtual std::vector<u8> save() const { return {}; }
  /// Takes what a back end of any kind has saved; another kind's is of no use to it. Usage error when the bytes are
  /// corrupt; it is then as it was.
  virtual Result<> load(std::span<const u8> /*bytes*/) { return {}; }
};

}  // namespace vireo::net
