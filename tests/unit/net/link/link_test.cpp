#include "net/link/link.h"

#include <gtest/gtest.h>

#include <future>

namespace vireo::net {
namespace {

/// Counts what comes from the device, and brings what the test wants.
struct Outside final : Backend {
  Offloads send_offloads() const override { return {.checksum = true}; }
  void attach(Port& to) override { port = &to; }
  void detach() override { port = nullptr; }
  void set_receive_offloads(Offloads) override {}
  void use_pairs(unsigned) override {}
  std::size_t send(unsigned, std::span<const Frame> frames) override {
    sent += frames.size();
    return frames.size();
  }
  void wake() override {}
  bool link_up() const override { return up; }
  Port* port = nullptr;
  std::size_t sent = 0;
  bool up = true;
};

struct Device final : Port {
  std::size_t receive(unsigned, std::span<const Frame> frames) override {
    received += frames.size();
    return 0;  // it has no buffers
  }
  void serve() override {}
  void link_changed(bool up) override { changed.set_value(up); }
  std::size_t received = 0;
  std::promise<bool> changed;
};

struct Rig {
  std::unique_ptr<NetThread> thread = *NetThread::create();
  Outside* outside = new Outside;
  Link link{*thread, std::unique_ptr<Backend>(outside)};
  Device device;
  std::array<Frame, 2> frames;

  Rig() {
    link.attach(device);
    thread->start();
  }
  ~Rig() {
    link.detach();
    thread->stop();
  }
};

TEST(Link, PassesEverythingWhileItIsUp) {
  Rig rig;
  EXPECT_TRUE(rig.link.link_up());
  EXPECT_TRUE(rig.link.send_offloads().checksum);
  EXPECT_EQ(rig.link.send(0, rig.frames), 2u);
  EXPECT_EQ(rig.outside->sent, 2u);
  EXPECT_EQ(rig.outside->port->receive(0, rig.frames), 0u);
  EXPECT_EQ(rig.device.received, 2u);
}

TEST(Link, DropsBothWaysAndTellsTheDeviceWhileItIsDown) {
  Rig rig;
  auto told = rig.device.changed.get_future();
  rig.link.set(false);
  EXPECT_FALSE(told.get());
  EXPECT_FALSE(rig.link.link_up());
  EXPECT_EQ(rig.link.send(0, rig.frames), 2u);
  EXPECT_EQ(rig.outside->sent, 0u);
  EXPECT_EQ(rig.outside->port->receive(0, rig.frames), 2u);
  EXPECT_EQ(rig.device.received, 0u);
  rig.device.changed = {};
  auto again = rig.device.changed.get_future();
  rig.link.set(true);
  EXPECT_TRUE(again.get());
}

TEST(Link, IsDownWhenWhatIsBehindItIs) {
  Rig rig;
  rig.outside->up = false;
  EXPECT_FALSE(rig.link.link_up());
  auto told = rig.device.changed.get_future();
  rig.outside->port->link_changed(false);
  EXPECT_FALSE(told.get());
}

TEST(Link, IsAsItWasSetWhileThereWasNoDevice) {
  Rig rig;
  rig.link.detach();
  rig.link.set(false);
  rig.link.attach(rig.device);
  EXPECT_FALSE(rig.link.link_up());
}

}  // namespace
}  // namespace vireo::net
