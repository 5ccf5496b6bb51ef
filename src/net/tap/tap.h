// A tap device: an interface of the host that a guest's NIC is the other end of. Linux does all that either side leaves
// to be done, checksums and segmentation (TUNSETOFFLOAD).
//
// Making an interface needs CAP_NET_ADMIN; without, whoever has it makes one for the user (`ip tuntap add dev tap0 mode
// tap user NAME`), or opens it and passes the descriptor.
//
// Source: Linux, Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h.
//
// Threads: as in net/api. Frames are written by the thread that sends them, and read by the network thread.
#pragma once

#include <memory>
#include <string>

#include "net/api/backend.h"
#include "net/thread/thread.h"

namespace vireo::net {

struct TapOptions {
  std::string ifname;  ///< up to 15 characters; empty: the host's choice, or that of `fd`
  int fd = -1;         ///< an open tap device with IFF_VNET_HDR; -1: one is opened
};

/// `thread` outlives it. Errors: Usage, Denied, Failed.
Result<std::unique_ptr<Backend>> make_tap_backend(NetThread& thread, const TapOptions& options);
/// The device request it makes at any time, for the sandbox.
extern const unsigned long kTapRequest;

}  // namespace vireo::net
