// A network of its own for the guest, without privileges: libslirp ends the guest's connections in this process and
// goes on with sockets of the host's user.
//
//   10.0.2.0/24, fec0::/64; the host is 10.0.2.2, a name server that asks the host's is 10.0.2.3, DHCP gives from
//   10.0.2.15 on.
//
// Large segments. libslirp takes TCP segments of any size, so a guest's are not cut. In the other direction it sends
// what the guest's SYN allows; a guest that takes segments larger than its link (GUEST_TSO4, GUEST_TSO6) has the size
// in its SYNs raised on the way, and gets them marked to be cut as the link would have them.
//
// Threads: libslirp is called under one mutex of the process, for it has variables that all its instances share. A
// guest's frames are worked on by the thread that brings them, which saves a change of threads for each request; what
// comes from the host by the network thread. Frames to the guest are queued under the mutex and delivered without.
//
// Timers: libslirp wants to be called twice a second while it has a TCP connection, or one by UDP that has not expired;
// else only when its IPv6 router advertises itself, every few minutes.
//
// State: leases and counters. Connections end with the process, since the host's half of them does: after a restore
// the guest's packets for them are answered with a reset.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/api/backend.h"
#include "net/thread/thread.h"
#include "net/user/forward.h"

namespace vireo::net {

struct UserOptions {
  std::vector<Forward> forwards;
  bool restrict_guest = false;  ///< forwards and nothing else: the guest reaches neither the host nor the outside
  bool ipv6 = true;
  std::string network = "10.0.2.0/24";  ///< IPv4
  std::string hostname;                 ///< given by DHCP, empty: none
  std::size_t mtu = 1500;               ///< of the link to the guest, bytes
};

/// Usage error for a network that cannot be.
Result<> check(const UserOptions& options);

class User : public Backend {
 public:
  /// Errors: Usage, and Failed for a port that cannot be listened to. `thread` outlives it.
  static Result<std::unique_ptr<User>> create(NetThread& thread, const UserOptions& options);

  // Any thread, at any time.
  virtual Result<> add_forward(const Forward& forward) = 0;
  /// NotFound when there is none that listens there.
  virtual Result<> remove_forward(const Forward& forward) = 0;
};

}  // namespace vireo::net
