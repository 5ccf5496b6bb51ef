#include "virtio/net/net.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace vireo::virtio {

using namespace net;

namespace {

constexpr u64 kGuestOffloads =
    VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN;

/// A feature and what it needs besides (5.1.3.1).
struct Dependency {
  u64 feature, any_of;
};
constexpr Dependency kDependencies[] = {
    {VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM},
    {VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM},
    {VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6},
    {VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM},
    {VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM},
    {VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6},
    {VIRTIO_NET_F_CTRL_RX, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_CTRL_VLAN, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_MQ, VIRTIO_NET_F_CTRL_VQ},
    {VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_VQ},
};

u64 offered(const Net::Setup& setup) {
  u64 features = VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CTRL_VQ |
                 VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_CTRL_VLAN |
                 VIRTIO_NET_F_CTRL_MAC_ADDR | VIRTIO_NET_F_GUEST_ANNOUNCE | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS |
                 kGuestOffloads;
  const auto send = setup.backend.send_offloads();
  if (send.checksum) features |= VIRTIO_NET_F_CSUM;
  if (send.tso4) features |= VIRTIO_NET_F_HOST_TSO4;
  if (send.tso6) features |= VIRTIO_NET_F_HOST_TSO6;
  if (send.ecn) features |= VIRTIO_NET_F_HOST_ECN;
  if (setup.mtu) features |= VIRTIO_NET_F_MTU;
  if (setup.backend.pairs() > 1) features |= VIRTIO_NET_F_MQ;
  return features;
}

}  // namespace

Net::Net(const Setup& setup)
    : backend_(setup.backend),
      max_pairs_(setup.backend.pairs()),
      mac_(setup.mac),
      mtu_(setup.mtu),
      queue_sizes_(2 * max_pairs_ + 1, kQueueSize),
      features_(offered(setup)),
      receivers_(max_pairs_),
      transmitters_(max_pairs_) {
  queue_sizes_.back() = kControlQueueSize;
  s_.filter.mac = mac_;
}

void Net::attach(Host& host) {
  Device::attach(host);
  backend_.attach(*this);
}

Net::~Net() { backend_.detach(); }

bool Net::negotiated(u64 features) {
  for (const auto& [feature, any_of] : kDependencies) {
    if ((features & feature) != 0 && (features & any_of) == 0) return false;
  }
  negotiated_ = features;
  {
    const std::lock_guard lock(mutex_);
    s_.offloads = features & kGuestOffloads;
    s_.filter.tagged = (features & VIRTIO_NET_F_CTRL_VLAN) != 0;
  }
  apply_offloads();
  return true;
}

void Net::reset() {
  negotiated_ = 0;
  for (auto& receiver : receivers_) receiver.starved = false;
  {
    const std::lock_guard lock(mutex_);
    s_ = {};
    s_.filter.mac = mac_;
  }
  tell_config_ = false;
  apply_offloads();
  backend_.use_pairs(1);
  backend_.wake();  // what waits for the guest that is gone need not wait any more
}

void Net::apply_offloads() {
  const std::lock_guard lock(mutex_);
  const auto on = [this](u64 feature) { return (s_.offloads & feature) != 0; };
  backend_.set_receive_offloads({.checksum = on(VIRTIO_NET_F_GUEST_CSUM),
                                 .tso4 = on(VIRTIO_NET_F_GUEST_TSO4),
                                 .tso6 = on(VIRTIO_NET_F_GUEST_TSO6),
                                 .ecn = on(VIRTIO_NET_F_GUEST_ECN)});
}

void Net::notify(unsigned queue) {
  if (tell_config_.exchange(false)) host().config_changed();
  // Where the control queue is depends on whether the driver knows of more than one pair (5.1.2).
  const unsigned control_queue = has(VIRTIO_NET_F_MQ) ? 2 * max_pairs_ : 2;
  if (queue == control_queue) return control();
  if (queue / 2 >= max_pairs_) return;
  if (queue % 2 == 0) return buffers_came(queue / 2);
  transmit(queue / 2);
}

void Net::serve() {
  for (unsigned pair = 0; pair < max_pairs_; ++pair) transmit(pair);
}

void Net::link_changed(bool) { host().config_changed(); }

void Net::read_config(u32 offset, std::span<u8> to) {
  std::array<u8, kConfigSize> config{};
  const u16 link = backend_.link_up() ? VIRTIO_NET_S_LINK_UP : u16{0};
  const std::lock_guard lock(mutex_);
  std::copy(s_.filter.mac.begin(), s_.filter.mac.end(), config.begin() + kConfigMac);
  store(config.data() + kConfigStatus, static_cast<u16>(link | (s_.announce ? VIRTIO_NET_S_ANNOUNCE : 0)));
  store(config.data() + kConfigMaxPairs, static_cast<u16>(max_pairs_));
  store(config.data() + kConfigMtu, mtu_.value_or(0));
  std::memcpy(to.data(), config.data() + offset, to.size());
}

// State

std::vector<u8> Net::save() const {
  const std::lock_guard lock(mutex_);
  State state = s_;
  state.backend = backend_.save();
  vm::Archive archive;
  archive(state);
  return archive.take_bytes();
}

Result<> Net::load(std::span<const u8> bytes) {
  vm::Archive archive(bytes);
  State state;
  archive(state);
  const auto& filter = state.filter;
  if (!archive.finished() || state.pairs < 1 || state.pairs > max_pairs_ || (state.offloads & ~negotiated_) != 0 ||
      (state.offloads & ~kGuestOffloads) != 0 || filter.unicast.size() > Filter::kMaxAddresses ||
      filter.multicast.size() > Filter::kMaxAddresses) {
    return fail(ErrorKind::Usage, "it is corrupt");
  }
  TRY(backend_.load(state.backend));
  state.backend.clear();
  {
    const std::lock_guard lock(mutex_);
    s_ = std::move(state);
    // Whoever carries frames to the guest now has to learn where it is (5.1.6.5.4).
    if (has(VIRTIO_NET_F_GUEST_ANNOUNCE)) s_.announce = true;
    tell_config_ = s_.announce;
    backend_.use_pairs(s_.pairs);
  }
  apply_offloads();
  return {};
}

}  // namespace vireo::virtio
