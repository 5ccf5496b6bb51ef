#include "machine/pc/ports.h"

#include <algorithm>

namespace vireo::machine {

Ports::Ports(Setup setup) : setup_(std::move(setup)) {
  for (unsigned i = 0; i < kPorts; ++i) {
    const unsigned device = setup_.first_slot + i;
    // A card's INTA arrives as that of the port's device: device 0 behind a bridge is not swizzled.
    auto& slot = slots_.emplace_back(pci::RootPort::Setup{.name = fmt::format("pci.port{}", i),
                                                          .number = i + 1,
                                                          .msi = setup_.msi,
                                                          .pin = setup_.root.intx(device, 0),
                                                          .changed = setup_.changed},
                                     setup_.root.intx(device, 0));
    setup_.root.attach_bridge(device, 0, slot.port);
  }
}

Result<> Ports::plug(const std::string& id, std::optional<unsigned> port, const Make& make) {
  if (port && *port >= kPorts) return fail(ErrorKind::NotFound, "there is no port {}; there are {}", *port, kPorts);
  if (std::ranges::find(slots_, id, &Slot::id) != slots_.end()) {
    return fail(ErrorKind::WrongState, "there is a device '{}' already", id);
  }
  const auto slot =
      port ? slots_.begin() + *port : std::ranges::find_if(slots_, [](const auto& one) { return one.card == nullptr; });
  if (slot == slots_.end()) return fail(ErrorKind::WrongState, "all {} ports are taken; unplug a device first", kPorts);
  if (slot->card) return fail(ErrorKind::WrongState, "port {} is taken by '{}'", slot - slots_.begin(), slot->id);
  TRY_ASSIGN(slot->card, make({.msi = setup_.msi, .pin = slot->pin, .memory = setup_.memory, .clock = setup_.clock}));
  if (auto* activity = slot->card->activity()) activity->pause();
  slot->id = id;
  slot->port.insert(slot->card->function());
  setup_.root.rescan();
  return {};
}

Result<> Ports::ask_for(const std::string& id) {
  const auto slot = std::ranges::find_if(slots_, [&](const auto& one) { return one.card && one.id == id; });
  if (slot == slots_.end()) return fail(ErrorKind::NotFound, "Device '{}' not found", id);
  if (!slot->port.ask_to_remove()) {
    return fail(ErrorKind::WrongState, "Device '{}' is already in the process of unplug", id);
  }
  serve();  // a slot without power needs nobody's consent
  return {};
}

void Ports::serve() {
  for (auto& slot : slots_) {
    if (!slot.card) continue;
    if (slot.port.take_power_loss()) slot.card->state().reset();
    if (slot.port.released()) take_out(slot);
  }
}

void Ports::pause() {
  for (auto& slot : slots_) {
    if (auto* activity = slot.card ? slot.card->activity() : nullptr) activity->pause();
  }
}

void Ports::resume() {
  for (auto& slot : slots_) {
    if (auto* activity = slot.card ? slot.card->activity() : nullptr) activity->resume();
  }
}

void Ports::take_out_asked_for() {
  for (auto& slot : slots_) {
    if (slot.card && slot.port.removing()) take_out(slot);
  }
}

void Ports::take_out(Slot& slot) {
  slot.port.remove();
  setup_.root.rescan();
  slot.pin.set(false);
  slot.card.reset();
  setup_.removed(std::exchange(slot.id, {}));
}

std::vector<Ports::Place> Ports::cards() {
  std::vector<Place> places;
  for (unsigned i = 0; i < kPorts; ++i) {
    if (slots_[i].card) places.push_back({.port = i, .id = slots_[i].id, .card = slots_[i].card.get()});
  }
  return places;
}

std::vector<vm::Stateful*> Ports::stateful() {
  std::vector<vm::Stateful*> models;
  for (auto& slot : slots_) {
    if (slot.card) models.push_back(&slot.card->state());
    models.push_back(&slot.port);
  }
  return models;
}

}  // namespace vireo::machine
