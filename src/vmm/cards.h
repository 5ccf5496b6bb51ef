// Devices that come and go while the machine runs: device_add and device_del of the control socket, and their place in
// a saved machine.
//
//   {"execute": "device_add", "arguments": {"driver": "...", "id": "a", "bus": "pci.port0", ...}}
//   {"execute": "device_del", "arguments": {"id": "a"}}         {"event": "DEVICE_DELETED", "data": {"device": "a",
//   ...}}
//
// As in QEMU device_del only asks; the event tells that the guest has let go. Without "bus" the first empty port is
// taken. A saved machine holds the arguments of each device_add, and restoring it adds the devices again, in their
// ports, before their states are loaded.
//
// Threads: the owner's.
#pragma once

#include <map>

#include "api/qmp_commands.h"
#include "machine/pc/pc.h"
#include "vmm/life.h"

namespace vireo::vmm {

/// A kind of device that can be added.
struct CardKind {
  std::string driver;                           ///< QEMU's name where it means the same
  std::vector<api::Parameter> parameters = {};  ///< besides driver, id and bus
  /// Errors name what is wrong about an argument. The card's state is named after `id`.
  std::function<Result<std::unique_ptr<machine::Card>>(const api::Arguments& arguments, const std::string& id,
                                                       const machine::CardWires& wires)>
      make;
};

class Cards final : public vm::Stateful {
 public:
  /// Hears of a device that is gone.
  using Removed = std::function<void(const std::string& id)>;

  /// `machine` and `life` outlive it.
  Cards(machine::Pc& machine, Life& life, std::vector<CardKind> kinds);

  /// `removed` is called from then on.
  void add_commands(api::Commands& commands, Removed removed);
  /// For PcHost::card_removed.
  void forget(const std::string& id);

  // vm::Stateful: which devices there are. To be loaded before the machine's own models.
  void reset() override {}
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

 private:
  api::Answer add(const api::Arguments& arguments);
  api::Answer ask_for(const std::string& id);
  const CardKind* find_kind(const std::string& driver) const;
  /// The vCPUs are parked.
  Result<> plug(const CardKind& kind, const api::Arguments& arguments);

  machine::Pc& machine_;
  Life& life_;
  const std::vector<CardKind> kinds_;
  std::map<std::string, std::string> added_;  ///< by id: the arguments, with the port, as JSON
  Removed removed_ = [](const std::string&) {};
};

}  // namespace vireo::vmm
