// What of a network device is saved, besides its queues and features.
#pragma once

#include "virtio/net/filter.h"

namespace vireo::virtio::net {

struct State {
  Filter filter;
  u16 pairs = 1;            ///< queue pairs in use
  u64 offloads = 0;         ///< VIRTIO_NET_F_GUEST_*, what frames for the driver may ask of it
  bool announce = false;    ///< VIRTIO_NET_S_ANNOUNCE
  std::vector<u8> backend;  ///< net::Backend::save
};

inline void fields(vm::Archive& ar, State& s) {
  auto& [filter, pairs, offloads, announce, backend] = s;
  ar(filter, pairs, offloads, announce, backend);
}

}  // namespace vireo::virtio::net
