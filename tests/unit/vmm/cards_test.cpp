#include "vmm/cards.h"

#include <gtest/gtest.h>

#include "fake_vcpu.h"
#include "support/hot_plug_driver.h"
#include "unit/machine/pc/fake_host.h"

namespace vireo::vmm {
namespace {

using api::Json;

class GadgetCard final : public machine::Card {
 public:
  pci::Function& function() override { return gadget; }
  vm::Stateful& state() override { return gadget; }
  test::Gadget gadget;
};

/// A machine whose time is managed by nobody.
class StillMachine final : public Machine {
 public:
  void set_time(bool) override {}
  Result<> boot() override { return {}; }
  void press_power_button() override {}
  Result<> save(bool) override { return {}; }
  void finish_save() override {}
  void write_stats() override {}
};

/// A machine with the control commands, a running life, and the guest's hands on the ports.
struct Rig {
  std::unique_ptr<host::Loop> loop = *host::Loop::create();
  Life life{*loop};
  FakeVcpu vcpu{0};
  StillMachine machine;
  CpuThreads cpus{{&vcpu}, [](unsigned, vm::Exit) {}};
  machine::FakeHost host;
  std::unique_ptr<machine::Pc> pc;
  std::unique_ptr<Cards> cards;
  api::Commands commands;
  std::vector<std::string> removed;

  Rig() {
    auto setup = host.get();
    setup.ports_changed = [this] { life.ask_for_work([this] { pc->ports().serve(); }); };
    setup.card_removed = [this](const std::string& id) { cards->forget(id); };
    machine::Spec spec;
    spec.memory = 16 * kMiB;
    spec.kernel = "/dev/null";
    pc = *machine::Pc::create(spec, std::move(setup));
    cards = std::make_unique<Cards>(
        *pc, life,
        std::vector<CardKind>{{.driver = "gadget",
                               .parameters = {{"color", api::Parameter::Type::String}},
                               .make = [](const api::Arguments& arguments, const std::string&,
                                          const machine::CardWires&) -> Result<std::unique_ptr<machine::Card>> {
                                 if (arguments.text("color") == "none") {
                                   return fail(ErrorKind::Usage, "a gadget has a color");
                                 }
                                 return std::make_unique<GadgetCard>();
                               }}});
    cards->add_commands(commands, [this](const std::string& id) { removed.push_back(id); });
    life.own(machine, cpus, OnCrash::Stop, AfterSave::GoOn);
  }
  api::Answer ask(const char* name, const Json& arguments) {
    std::vector<host::Fd> none;
    return commands.run(name, arguments, none);
  }
  test::HotPlugDriver guest(unsigned port) {
    const u64 at = 0xE0000000 + (u64{4 + port} << 15);
    return {[this, at](u16 offset, u8 size) { return static_cast<u32>(pc->io().mmio_read(at + offset, size)); },
            [this, at](u16 offset, u8 size, u32 value) { pc->io().mmio_write(at + offset, size, value); }};
  }
  /// `script` on the owner's thread, then what was posted meanwhile, then `after`.
  void run(const std::function<void()>& script, const std::function<void()>& after = [] {}) {
    loop->post([&] {
      script();
      loop->post([&] {
        after();
        life.pull_plug(Cause::HostUi);
      });
    });
    life.start();
    loop->run();
  }
};

TEST(Cards, ADeviceComesAndGoesWhenTheGuestLetsItGo) {
  Rig rig;
  rig.run(
      [&] {
        EXPECT_EQ(*rig.ask("device_add", {{"driver", "gadget"}, {"id", "a"}}), Json::object());
        EXPECT_EQ(rig.life.state(), Life::State::Running);
        rig.guest(0).start(true);
        rig.guest(0).power_on();
        EXPECT_EQ(*rig.ask("device_del", {{"id", "a"}}), Json::object());
        EXPECT_FALSE(rig.ask("device_del", {{"id", "a"}}));
        EXPECT_TRUE(rig.removed.empty());
        rig.guest(0).power_off();
      },
      [&] {
        EXPECT_EQ(rig.removed, std::vector<std::string>{"a"});
        EXPECT_EQ(rig.ask("device_del", {{"id", "a"}}).error().error_class, api::ErrorClass::DeviceNotFound);
      });
}

TEST(Cards, WhatIsWrongIsSaid) {
  Rig rig;
  rig.run([&] {
    const auto why = [&](const Json& arguments) {
      const auto answer = rig.ask("device_add", arguments);
      return answer ? "" : answer.error().description;
    };
    EXPECT_EQ(why({{"driver", "gizmo"}, {"id", "a"}}), "'gizmo' is not a valid device model name");
    EXPECT_EQ(why({{"driver", "gadget"}}), "Parameter 'id' is missing");
    EXPECT_EQ(why({{"driver", "gadget"}, {"id", "1 2"}}), "Parameter 'id' expects an identifier");
    EXPECT_EQ(why({{"driver", "gadget"}, {"id", "a"}, {"size", 1}}), "Parameter 'size' is unexpected");
    EXPECT_EQ(why({{"driver", "gadget"}, {"id", "a"}, {"color", 1}}),
              "Invalid parameter type for 'color', expected: string");
    EXPECT_EQ(why({{"driver", "gadget"}, {"id", "a"}, {"color", "none"}}), "a gadget has a color");
    EXPECT_EQ(why({{"driver", "gadget"}, {"id", "a"}, {"bus", "pci.0"}}), "Bus 'pci.0' not found");
    EXPECT_NE(why({{"driver", "gadget"}, {"id", "a"}, {"bus", "pci.port9"}}), "");
    EXPECT_EQ(why({{"driver", "gadget"}, {"id", "a"}, {"bus", "pci.port3"}}), "");
    EXPECT_NE(why({{"driver", "gadget"}, {"id", "a"}}), "");
  });
  EXPECT_EQ(rig.pc->ports().cards().size(), 1u);
}

TEST(Cards, ARestoredMachineHasTheSameDevicesInTheSamePorts) {
  Rig rig, other;
  rig.run([&] {
    ASSERT_TRUE(rig.ask("device_add", {{"driver", "gadget"}, {"id", "b"}, {"bus", "pci.port2"}, {"color", "red"}}));
    ASSERT_TRUE(rig.ask("device_add", {{"driver", "gadget"}, {"id", "c"}}));
  });
  const auto saved = rig.cards->save();
  ASSERT_TRUE(other.cards->load(saved));
  const auto places = other.pc->ports().cards();
  ASSERT_EQ(places.size(), 2u);
  EXPECT_EQ(places[0].id, "c");
  EXPECT_EQ(places[0].port, 0u);
  EXPECT_EQ(places[1].id, "b");
  EXPECT_EQ(places[1].port, 2u);
  EXPECT_EQ(other.cards->save().bytes, saved.bytes);
  for (auto* model : other.pc->stateful()) {
    for (const auto* original : rig.pc->stateful()) {
      const auto record = original->save();
      if (record.name == model->save().name) {
        EXPECT_TRUE(model->load(record)) << record.name;
      }
    }
  }
}

TEST(Cards, AStateThatNamesWhatIsNoDeviceIsRefused) {
  for (const char* text : {"", "[]", "5", "{}", R"({"driver": "gizmo", "id": "a"})", R"({"driver": 1, "id": "a"})",
                           R"({"driver": "gadget", "id": "a", "x": {}})", R"({"driver": "gadget", "id": ""})",
                           R"({"driver": "gadget", "id": "a", "bus": "pci.port7"})",
                           R"({"driver": "gadget", "id": "a", "color": "none"})"}) {
    Rig rig;
    vm::Archive archive;
    std::vector<std::string> added = {text};
    archive(added);
    EXPECT_FALSE(rig.cards->load({.name = "cards", .version = 1, .bytes = archive.take_bytes()})) << text;
  }
}

}  // namespace
}  // namespace vireo::vmm
