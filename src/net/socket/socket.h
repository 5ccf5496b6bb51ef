// A wire to another machine: frames through a socket, to a process of this program or of QEMU's (-netdev socket,
// stream, dgram).
//
// Frames on the wire are finished: checksums are filled in and large segments cut here, so that a guest may leave that
// work to its device all the same. A stream carries them with their lengths (framing.h); of datagrams each is a frame.
//
// A listener has one peer at a time, and waits for the next when it has gone. A side that connects does so once, when
// it is made; its link is down when the peer has gone.
//
// Threads: as in net/api. One mutex for what is sent; the network thread reads.
#pragma once

#include <memory>

#include "net/api/backend.h"
#include "net/socket/address.h"
#include "net/thread/thread.h"

namespace vireo::net {

enum class Wire : u8 { Listen, Connect, Datagram };

struct SocketOptions {
  Wire wire = Wire::Listen;
  SocketAddress address;  ///< to listen at or connect to; of datagrams: the peer
  SocketAddress local;    ///< of datagrams
};

/// `thread` outlives it. Errors name the address.
Result<std::unique_ptr<Backend>> make_socket_backend(NetThread& thread, const SocketOptions& options);

}  // namespace vireo::net
