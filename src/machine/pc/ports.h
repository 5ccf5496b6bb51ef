// The PC's hot-plug ports: a few PCI Express root ports, empty at first, and the cards that are put into them while the
// machine runs.
//
// Threads: the owner's, with every vCPU parked and guest time standing.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "pci/bridge/root_port.h"
#include "pci/root/root.h"
#include "vm/clock/clock.h"
#include "vm/device/device.h"
#include "vm/memory/memory.h"

namespace vireo::machine {

/// A device for a port: one PCI function with a state. Its state's name is its own and should hold the card's id.
class Card {
 public:
  virtual ~Card() = default;
  virtual pci::Function& function() = 0;
  virtual vm::Stateful& state() = 0;
  /// The card works by itself; nullptr: it does only what it is told.
  virtual vm::Activity* activity() { return nullptr; }
};

/// What a card is connected to, and outlives it.
struct CardWires {
  vm::MsiSink& msi;
  vm::IrqLine& pin;  ///< INTA
  vm::GuestMemory& memory;
  vm::Clock& clock;
};

class Ports {
 public:
  static constexpr unsigned kPorts = 4;

  struct Setup {
    pci::Root& root;
    vm::MsiSink& msi;
    vm::GuestMemory& memory;
    vm::Clock& clock;
    unsigned first_slot = 0;  ///< of bus 0; kPorts from there on
    /// The guest has turned power off, or released a card: serve() is to be called. Any thread.
    std::function<void()> changed;
    /// A card that was asked for is out, and destroyed; owner's thread.
    std::function<void(const std::string& id)> removed;
  };
  explicit Ports(Setup setup);

  /// Puts in what `make` makes, into the first empty port or that one (0..kPorts-1). The guest is told. Errors:
  /// WrongState when the id is taken, the port is, or all are; NotFound for a port that is not there; those of `make`.
  using Make = std::function<Result<std::unique_ptr<Card>>(const CardWires& wires)>;
  Result<> plug(const std::string& id, std::optional<unsigned> port, const Make& make);
  /// Asks the guest for a card; `removed` follows, soon or never, at the latest with the machine's reset. Errors:
  /// NotFound, and WrongState when it was asked before.
  Result<> ask_for(const std::string& id);
  void serve();

  /// See vm::Activity. A card that is put in begins paused.
  void pause();
  void resume();

  /// Before the machine is reset: what was asked for comes out, for the guest has forgotten it.
  void take_out_asked_for();

  struct Place {
    unsigned port = 0;
    std::string id;
    Card* card = nullptr;
  };
  std::vector<Place> cards();

  /// Cards first, for pci::Root comes after its functions.
  std::vector<vm::Stateful*> stateful();

 private:
  struct Slot {
    Slot(pci::RootPort::Setup setup, vm::IrqLine& card_pin) : port(std::move(setup)), pin(card_pin) {}
    pci::RootPort port;
    vm::IrqLine& pin;
    std::string id;
    std::unique_ptr<Card> card;
  };
  void take_out(Slot& slot);

  const Setup setup_;
  std::deque<Slot> slots_;
};

}  // namespace vireo::machine
