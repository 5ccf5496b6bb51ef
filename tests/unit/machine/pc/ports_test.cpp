#include "machine/pc/ports.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fake_host.h"
#include "host/file.h"
#include "machine/pc/layout.h"
#include "support/hot_plug_driver.h"

namespace vireo::machine {
namespace {

class GadgetCard final : public Card {
 public:
  explicit GadgetCard(const CardWires& wires) : wires_(wires) { wires_.pin.set(false); }
  pci::Function& function() override { return gadget; }
  vm::Stateful& state() override { return gadget; }
  test::Gadget gadget;

 private:
  CardWires wires_;
};

Result<std::unique_ptr<Card>> make_gadget(const CardWires& wires) { return std::make_unique<GadgetCard>(wires); }

struct PcPorts : testing::Test {
  FakeHost host;
  int changes = 0;
  std::vector<std::string> removed;
  std::unique_ptr<Pc> pc;

  void SetUp() override {
    auto setup = host.get();
    setup.ports_changed = [this] { ++changes; };
    setup.open_file = [](const std::string&) -> Result<host::Fd> {
      TRY_ASSIGN(auto file, host::nameless_file("kernel"));
      TRY(host::append(file, pvh_kernel()));
      return file;
    };
    setup.card_removed = [this](const std::string& id) { removed.push_back(id); };
    Spec spec;
    spec.memory = 16 * kMiB;
    spec.kernel = "kernel";
    auto made = Pc::create(spec, std::move(setup));
    ASSERT_TRUE(made) << made.error().message;
    pc = std::move(*made);
  }
  Ports& ports() { return pc->ports(); }
  test::HotPlugDriver driver(unsigned port) {
    const u64 at = layout::kEcam + (u64{layout::kFirstPortSlot + port} << 15);
    return {[this, at](u16 offset, u8 size) { return static_cast<u32>(pc->io().mmio_read(at + offset, size)); },
            [this, at](u16 offset, u8 size, u32 value) { pc->io().mmio_write(at + offset, size, value); }};
  }
};

TEST_F(PcPorts, EveryPortTakesOneCardUntilAllAreTaken) {
  for (const char* id : {"a", "b", "c", "d"}) EXPECT_TRUE(ports().plug(id, {}, make_gadget));
  EXPECT_EQ(ports().plug("e", {}, make_gadget).error().kind, ErrorKind::WrongState);
  ASSERT_EQ(ports().cards().size(), 4u);
  EXPECT_EQ(ports().cards()[2].id, "c");
  for (unsigned i = 0; i < Ports::kPorts; ++i) {
    EXPECT_NE(driver(i).status() & pci::express::slot::PresenceDetectState, 0u);
  }
}

TEST_F(PcPorts, IdsAndPortsAreTakenOnce) {
  EXPECT_TRUE(ports().plug("a", 2, make_gadget));
  EXPECT_EQ(ports().plug("a", {}, make_gadget).error().kind, ErrorKind::WrongState);
  EXPECT_EQ(ports().plug("b", 2, make_gadget).error().kind, ErrorKind::WrongState);
  EXPECT_EQ(ports().plug("b", 4, make_gadget).error().kind, ErrorKind::NotFound);
  EXPECT_EQ(ports().cards()[0].port, 2u);
}

TEST_F(PcPorts, ACardThatCannotBeMadeLeavesThePortEmpty) {
  const auto broken = [](const CardWires&) -> Result<std::unique_ptr<Card>> {
    return fail(ErrorKind::NotFound, "no such disk");
  };
  EXPECT_EQ(ports().plug("a", {}, broken).error().message, "no such disk");
  EXPECT_TRUE(ports().cards().empty());
  EXPECT_TRUE(ports().plug("a", {}, make_gadget));
}

TEST_F(PcPorts, ACardIsOutOnceTheGuestHasLetGo) {
  const auto guest = driver(0);
  guest.start(true);
  ASSERT_TRUE(ports().plug("a", {}, make_gadget));
  guest.power_on();
  ASSERT_TRUE(ports().ask_for("a"));
  EXPECT_EQ(ports().ask_for("a").error().kind, ErrorKind::WrongState);
  EXPECT_EQ(ports().ask_for("b").error().kind, ErrorKind::NotFound);
  ports().serve();
  EXPECT_TRUE(removed.empty());
  guest.power_off();
  EXPECT_GE(changes, 1);
  ports().serve();
  EXPECT_EQ(removed, std::vector<std::string>{"a"});
  EXPECT_TRUE(ports().cards().empty());
  EXPECT_TRUE(ports().plug("a", {}, make_gadget));
}

TEST_F(PcPorts, AGuestThatNeverTurnedThePowerOnIsNotAsked) {
  ASSERT_TRUE(ports().plug("a", {}, make_gadget));
  ASSERT_TRUE(ports().ask_for("a"));
  EXPECT_EQ(removed, std::vector<std::string>{"a"});
}

TEST_F(PcPorts, ACardWithoutPowerIsReset) {
  const auto guest = driver(0);
  guest.start(true);
  ASSERT_TRUE(ports().plug("a", {}, make_gadget));
  auto& gadget = static_cast<GadgetCard*>(ports().cards()[0].card)->gadget;
  guest.power_on();
  ports().serve();
  EXPECT_EQ(gadget.resets, 0);
  guest.power_off();
  ports().serve();
  EXPECT_EQ(gadget.resets, 1);
  EXPECT_TRUE(removed.empty());
}

TEST_F(PcPorts, AResetTakesOutWhatWasAskedForAndKeepsTheRest) {
  ASSERT_TRUE(ports().plug("a", {}, make_gadget));
  ASSERT_TRUE(ports().plug("b", {}, make_gadget));
  driver(0).power_on();
  ASSERT_TRUE(ports().ask_for("a"));
  EXPECT_TRUE(removed.empty());
  ASSERT_TRUE(pc->boot());
  EXPECT_EQ(removed, std::vector<std::string>{"a"});
  ASSERT_EQ(ports().cards().size(), 1u);
  EXPECT_EQ(ports().cards()[0].id, "b");
  EXPECT_TRUE(driver(1).link_active()) << "what is there at a reset has power";
}

TEST_F(PcPorts, CardsAreAmongTheModelsThatAreSaved) {
  const auto before = pc->stateful().size();
  ASSERT_TRUE(ports().plug("a", {}, make_gadget));
  EXPECT_EQ(pc->stateful().size(), before + 1);
  std::vector<std::string> names;
  for (const auto* model : pc->stateful()) names.push_back(model->save().name);
  EXPECT_LT(std::ranges::find(names, "gadget"), std::ranges::find(names, "pci"));
}

}  // namespace
}  // namespace vireo::machine
