// Which frames the driver wants (virtio 1.2, 5.1.6.5.1 to 5.1.6.5.3). Until it says something, all.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "vm/state/archive.h"

namespace vireo::virtio::net {

using Mac = std::array<u8, 6>;

struct Filter {
  Mac mac{};  ///< the device's own address, which the driver may change
  bool promiscuous = true, all_multicast = false, all_unicast = false;
  bool no_multicast = false, no_unicast = false, no_broadcast = false;
  bool tagged = false;                                ///< look at VLAN tags
  std::vector<Mac> unicast, multicast;                ///< besides `mac`
  bool many_unicast = false, many_multicast = false;  ///< the list was too long: it counts as all there are
  std::array<u64, 64> vlans{};                        ///< a bit for each identifier

  static constexpr std::size_t kMaxAddresses = 64;

  void set_vlan(u16 identifier, bool wanted);
  /// `head` is the beginning of a frame, 14 bytes or more; 18 with a tag.
  bool wants(std::span<const u8> head) const;
};

inline void fields(vm::Archive& ar, Filter& s) {
  auto& [mac, promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast, tagged, unicast,
         multicast, many_unicast, many_multicast, vlans] = s;
  ar(mac, promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast, tagged, unicast, multicast,
     many_unicast, many_multicast, vlans);
}

}  // namespace vireo::virtio::net
