#include "vmm/card_kinds.h"

#include <algorithm>
#include <charconv>

#include "machine/pc/virtio_card.h"
#include "virtio/blk/blk.h"
#include "virtio/net/net.h"
#include "virtio/rng/rng.h"

namespace vireo::vmm {
namespace {

using api::Arguments;
using machine::CardWires;
using Made = Result<std::unique_ptr<machine::Card>>;
using Type = api::Parameter::Type;

constexpr unsigned kMostQueues = 64;           ///< virtio::Blk's
constexpr unsigned kMostQueuesByDefault = 16;  ///< more gain nothing
constexpr std::size_t kMaxSerial = 20;         ///< VIRTIO_BLK_ID_BYTES (virtio 1.2, 5.2.6)

/// "52:54:00:12:34:56"
Result<virtio::net::Mac> parse_mac(const std::string& text) {
  virtio::net::Mac mac{};
  bool good = text.size() == 17;
  for (std::size_t i = 0; good && i < mac.size(); ++i) {
    const char* at = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(at, at + 2, mac[i], 16);
    good = error == std::errc() && end == at + 2 && (i == 5 || at[2] == ':');
  }
  if (good && (mac[0] & 1) == 0) return mac;
  return fail(ErrorKind::Usage, "Property 'virtio-net-pci.mac' doesn't take value '{}'", text);
}

Made make_blk(const CardSupplies& supplies, const Arguments& arguments, const std::string& id, const CardWires& wires) {
  const auto serial = arguments.text("serial");
  if (serial.size() > kMaxSerial) return fail(ErrorKind::Usage, "Property 'serial' has up to {} bytes", kMaxSerial);
  const i64 queues = arguments.integer("num-queues", std::min(supplies.cpus, kMostQueuesByDefault));
  if (queues < 1 || queues > kMostQueues) {
    return fail(ErrorKind::Usage, "Property 'num-queues' is from 1 to {}", kMostQueues);
  }
  TRY_ASSIGN(auto disk, supplies.nodes.take(arguments.text("drive"), id));
  auto device = std::make_unique<virtio::Blk>(*disk->image, serial.empty() ? disk->serial : serial,
                                              static_cast<unsigned>(queues));
  return std::make_unique<machine::VirtioCard>(id, wires, std::move(device), std::move(disk));
}

Made make_net(const CardSupplies& supplies, const Arguments& arguments, const std::string& id, const CardWires& wires) {
  std::optional<virtio::net::Mac> mac;
  if (arguments.has("mac")) {
    TRY_ASSIGN(mac, parse_mac(arguments.text("mac")));
  }
  TRY_ASSIGN(auto backend, supplies.network.take(arguments.text("netdev"), id));
  auto device = std::make_unique<virtio::Net>(
      virtio::Net::Setup{.backend = *backend->link, .mac = mac.value_or(backend->mac), .mtu = backend->mtu});
  return std::make_unique<machine::VirtioCard>(id, wires, std::move(device), std::move(backend));
}

}  // namespace

std::vector<CardKind> virtio_cards(const CardSupplies& supplies) {
  return {{.driver = "virtio-blk-pci",
           .parameters = {{"drive", Type::String, true}, {"serial", Type::String}, {"num-queues", Type::Integer}},
           .make = [supplies](const Arguments& arguments, const std::string& id,
                              const CardWires& wires) { return make_blk(supplies, arguments, id, wires); }},
          {.driver = "virtio-net-pci",
           .parameters = {{"netdev", Type::String, true}, {"mac", Type::String}},
           .make = [supplies](const Arguments& arguments, const std::string& id,
                              const CardWires& wires) { return make_net(supplies, arguments, id, wires); }},
          {.driver = "virtio-rng-pci",
           .parameters = {},
           .make = [supplies](const Arguments&, const std::string& id, const CardWires& wires) -> Made {
             return std::make_unique<machine::VirtioCard>(id, wires, std::make_unique<virtio::Rng>(supplies.random));
           }}};
}

}  // namespace vireo::vmm
