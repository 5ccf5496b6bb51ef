#include "virtio/net/filter.h"

#include <algorithm>

namespace vireo::virtio::net {
namespace {

bool holds(std::span<const Mac> list, const Mac& mac) { return std::find(list.begin(), list.end(), mac) != list.end(); }

}  // namespace

void Filter::set_vlan(u16 identifier, bool wanted) {
  u64& word = vlans[identifier / 64 % vlans.size()];
  const u64 mask = u64{1} << (identifier % 64);
  word = wanted ? word | mask : word & ~mask;
}

bool Filter::wants(std::span<const u8> head) const {
  const bool has_tag = head.size() >= 18 && head[12] == 0x81 && head[13] == 0x00;  // IEEE 802.1Q
  if (tagged && has_tag) {
    const unsigned identifier = (head[14] & 0x0Fu) << 8 | head[15];
    if ((vlans[identifier / 64] >> (identifier % 64) & 1) == 0) return false;
  }
  if (promiscuous) return true;
  Mac to;
  std::copy_n(head.begin(), to.size(), to.begin());
  if ((to[0] & 1) == 0) {
    if (no_unicast) return false;
    return all_unicast || many_unicast || to == mac || holds(unicast, to);
  }
  if (std::all_of(to.begin(), to.end(), [](u8 byte) { return byte == 0xFF; })) return !no_broadcast;
  return !no_multicast && (all_multicast || many_multicast || holds(multicast, to));
}

}  // namespace vireo::virtio::net
