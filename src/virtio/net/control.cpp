// Commands of the driver (virtio 1.2, 5.1.6.5).
#include "base/bytes.h"
#include "virtio/net/net.h"

namespace vireo::virtio {

using namespace net;

namespace {

template <class T>
std::optional<T> take(Pieces& request) {
  T value;
  if (!request.take(&value, sizeof value)) return {};
  return value;
}

/// A list of addresses behind its length. More of them than are kept is the same as all there are.
bool take_addresses(Pieces& request, std::vector<Mac>& list, bool& too_many) {
  const auto count = take<u32>(request);
  if (!count || u64{*count} * sizeof(Mac) > request.size()) return false;
  too_many = *count > Filter::kMaxAddresses;
  if (too_many) {
    request.drop(u64{*count} * sizeof(Mac));
    return true;
  }
  for (u32 i = 0; i < *count; ++i) list.push_back(take<Mac>(request).value_or(Mac{}));
  return true;
}

}  // namespace

void Net::control() {
  const unsigned index = has(VIRTIO_NET_F_MQ) ? 2 * max_pairs_ : 2;
  const bool more = host().queue(index).serve(control_chain_, [this](Chain& chain) -> u32 {
    const u8 answer = command(chain.readable);
    return chain.writable.put(host().memory(), &answer, sizeof answer) ? sizeof answer : 0;
  });
  if (more) host().notify_later(index);
}

u8 Net::command(Pieces& request) {
  const auto kind = take<Class>(request);
  const auto what = take<u8>(request);
  if (!kind || !what || !has(VIRTIO_NET_F_CTRL_VQ)) return VIRTIO_NET_ERR;
  switch (*kind) {
    case Class::RX:
      return command_rx(*what, request);
    case Class::MAC:
      return command_mac(*what, request);
    case Class::VLAN:
      return command_vlan(*what, request);
    case Class::ANNOUNCE: {
      if (*what != ANNOUNCE_ACK) return VIRTIO_NET_ERR;
      const std::lock_guard lock(mutex_);
      s_.announce = false;
      return VIRTIO_NET_OK;
    }
    case Class::MQ: {
      const auto pairs = take<u16>(request);
      if (*what != MQ_VQ_PAIRS_SET || !has(VIRTIO_NET_F_MQ) || !pairs || *pairs < 1 || *pairs > max_pairs_) break;
      backend_.use_pairs(*pairs);
      const std::lock_guard lock(mutex_);
      s_.pairs = *pairs;
      return VIRTIO_NET_OK;
    }
    case Class::GUEST_OFFLOADS: {
      const auto offloads = take<u64>(request);
      if (*what != GUEST_OFFLOADS_SET || !has(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || !offloads) break;
      {
        const std::lock_guard lock(mutex_);
        if ((*offloads & ~negotiated_) != 0) return VIRTIO_NET_ERR;
        constexpr u64 kAll =
            VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN;
        s_.offloads = *offloads & kAll;
      }
      apply_offloads();
      return VIRTIO_NET_OK;
    }
  }
  return VIRTIO_NET_ERR;
}

u8 Net::command_rx(u8 command, Pieces& request) {
  const auto on = take<u8>(request);
  if (!has(VIRTIO_NET_F_CTRL_RX) || !on) return VIRTIO_NET_ERR;
  if (command > rx::ALLMULTI && !has(VIRTIO_NET_F_CTRL_RX_EXTRA)) return VIRTIO_NET_ERR;
  const std::lock_guard lock(mutex_);
  auto& filter = s_.filter;
  switch (command) {
    case rx::PROMISC:
      filter.promiscuous = *on != 0;
      break;
    case rx::ALLMULTI:
      filter.all_multicast = *on != 0;
      break;
    case rx::ALLUNI:
      filter.all_unicast = *on != 0;
      break;
    case rx::NOMULTI:
      filter.no_multicast = *on != 0;
      break;
    case rx::NOUNI:
      filter.no_unicast = *on != 0;
      break;
    case rx::NOBCAST:
      filter.no_broadcast = *on != 0;
      break;
    default:
      return VIRTIO_NET_ERR;
  }
  return VIRTIO_NET_OK;
}

u8 Net::command_mac(u8 command, Pieces& request) {
  if (command == mac::ADDR_SET) {
    const auto mac = take<Mac>(request);
    if (!mac || !has(VIRTIO_NET_F_CTRL_MAC_ADDR)) return VIRTIO_NET_ERR;
    const std::lock_guard lock(mutex_);
    s_.filter.mac = *mac;
    return VIRTIO_NET_OK;
  }
  if (command != mac::TABLE_SET || !has(VIRTIO_NET_F_CTRL_RX)) return VIRTIO_NET_ERR;
  std::vector<Mac> unicast, multicast;
  bool many_unicast = false, many_multicast = false;
  if (!take_addresses(request, unicast, many_unicast) || !take_addresses(request, multicast, many_multicast)) {
    return VIRTIO_NET_ERR;
  }
  const std::lock_guard lock(mutex_);
  auto& filter = s_.filter;
  filter.unicast = std::move(unicast);
  filter.multicast = std::move(multicast);
  filter.many_unicast = many_unicast;
  filter.many_multicast = many_multicast;
  return VIRTIO_NET_OK;
}

u8 Net::command_vlan(u8 command, Pieces& request) {
  const auto identifier = take<u16>(request);
  if (!has(VIRTIO_NET_F_CTRL_VLAN) || !identifier || *identifier >= 4096 || command > vlan::DEL) return VIRTIO_NET_ERR;
  const std::lock_guard lock(mutex_);
  s_.filter.set_vlan(*identifier, command == vlan::ADD);
  return VIRTIO_NET_OK;
}

}  // namespace vireo::virtio
