#include "virtio/console/console.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "support/virtio_driver.h"

namespace vireo::virtio {
namespace {

using namespace console;
using test::VirtioDriver;

constexpr u64 kOut = VirtioDriver::kData, kIn = VirtioDriver::kData + 0x20000;

class ConsoleTest : public testing::Test {
 protected:
  ConsoleTest() { start(MULTIPORT); }
  void start(u64 features) {
    driver.enable();
    driver.start(features);
  }
  void give_buffer(unsigned queue, u32 length = 64) {
    driver.ring(queue).add({{kIn + queue * 0x1000, length, true}});
    driver.notify_if_wanted(queue);
  }
  /// What is in the buffer of a queue that came back; "-" when none did.
  std::string taken(unsigned queue) {
    const auto used = driver.ring(queue).take_used();
    if (!used) return "-";
    std::string text(used->written, '\0');
    driver.memory.read(kIn + queue * 0x1000, text.data(), text.size());
    return text;
  }
  void send(unsigned queue, std::string_view text) {
    driver.memory.write(kOut, text.data(), text.size());
    driver.ring(queue).add({{kOut, static_cast<u32>(text.size())}});
    driver.notify_if_wanted(queue);
  }
  void control(Control message) { send(kControlTransmit, {reinterpret_cast<const char*>(&message), sizeof message}); }
  /// The next message the device tells: id, event and what follows.
  std::string told() {
    give_buffer(kControlReceive);
    const auto text = taken(kControlReceive);
    if (text == "-") return text;
    const auto message = load<Control>(text.data());
    EXPECT_EQ(message.value, 1u);
    return fmt::format("{} {} {}", message.id, message.event, text.substr(sizeof message));
  }
  void open(unsigned port) { control({port, PORT_OPEN, 1}); }

  test::FakeChannel first, second;
  VirtioDriver driver{std::make_unique<Console>(std::vector<ConsolePort>{
      {.channel = &first, .name = {}, .console = true}, {.channel = &second, .name = "agent", .console = false}})};
};

TEST_F(ConsoleTest, PortsAreToldOfAndOpened) {
  EXPECT_EQ(driver.config<u32>(config::max_nr_ports), 2u);
  EXPECT_EQ(driver.common(Common::num_queues, 2), 6u);
  EXPECT_EQ(told(), "-");
  control({0, DEVICE_READY, 1});
  EXPECT_EQ(taken(kControlReceive).size(), sizeof(Control));  // in the buffer that waited
  EXPECT_EQ(told(), "1 1 ");
  control({0, PORT_READY, 1});
  control({1, PORT_READY, 1});
  EXPECT_EQ(told(), "0 4 ");
  EXPECT_EQ(told(), "0 6 ");
  EXPECT_EQ(told(), "1 7 agent");
  EXPECT_EQ(told(), "1 6 ");
  EXPECT_EQ(told(), "-");
}

TEST_F(ConsoleTest, AskingAgainAndAgainIsAnsweredOnce) {
  for (unsigned i = 0; i < 1000; ++i) {
    control({1, PORT_READY, 1});
    EXPECT_TRUE(driver.ring(kControlTransmit).take_used());
  }
  control({2, PORT_READY, 1});  // not there
  EXPECT_EQ(told(), "1 7 agent");
  EXPECT_EQ(told(), "1 6 ");
  EXPECT_EQ(told(), "-");
}

TEST_F(ConsoleTest, OutputGoesToItsChannel) {
  send(1, "hello ");
  send(1, "world");
  send(5, "agent's");
  EXPECT_EQ(first.sent, "hello world");
  EXPECT_EQ(second.sent, "agent's");
  EXPECT_TRUE(driver.ring(1).take_used());
}

TEST_F(ConsoleTest, OutputWaitsForAChannelThatIsStuck) {
  const std::string text(10000, 'x');
  first.stuck = true;
  send(1, text);
  EXPECT_EQ(first.sent.size(), 4096u);  // what the channel took when it said so
  EXPECT_FALSE(driver.ring(1).take_used());
  send(1, text);
  EXPECT_EQ(first.sent.size(), 4096u);
  first.stuck = false;
  first.sink->output_ready();
  EXPECT_EQ(first.sent.size(), 20000u);
  EXPECT_TRUE(driver.ring(1).take_used());
  EXPECT_TRUE(driver.ring(1).take_used());
}

TEST_F(ConsoleTest, InputWaitsForThePortAndForBuffers) {
  first.type("one");
  give_buffer(0);
  EXPECT_EQ(taken(0), "-");
  open(0);
  EXPECT_EQ(taken(0), "one");
  first.type("two");
  first.type(" three");
  EXPECT_EQ(taken(0), "-");
  give_buffer(0, 4);
  EXPECT_EQ(taken(0), "two ");
  give_buffer(0);
  EXPECT_EQ(taken(0), "three");
}

TEST_F(ConsoleTest, InputIsHeldBackWhenTheGuestTakesNone) {
  first.type(std::string(10000, 'x'));
  EXPECT_EQ(first.waiting.size(), 10000u - 4096);
  open(0);
  u64 got = 0;
  for (unsigned i = 0; i < 200 && got < 10000; ++i) {
    give_buffer(0, 512);
    got += taken(0).size();
  }
  EXPECT_EQ(got, 10000u);
  EXPECT_TRUE(first.waiting.empty());
}

TEST_F(ConsoleTest, DriversThatKnowOnePortNeedNotOpenIt) {
  start(0);
  first.type("x");
  give_buffer(0);
  EXPECT_EQ(taken(0), "x");
}

TEST_F(ConsoleTest, SavedStateComesBack) {
  control({1, PORT_READY, 1});
  open(1);
  second.type("input");
  first.stuck = true;
  send(1, std::string(5000, 'x'));
  driver.device.pause();
  const auto record = driver.device.save();
  driver.device.reset();
  ASSERT_TRUE(driver.device.load(record));
  EXPECT_EQ(driver.device.save().bytes, record.bytes);
  first.stuck = false;
  first.sink->output_ready();
  driver.device.resume();
  EXPECT_EQ(first.sent.size(), 5000u);
  EXPECT_EQ(told(), "1 7 agent");
  give_buffer(4);
  EXPECT_EQ(taken(4), "input");
}

}  // namespace
}  // namespace vireo::virtio
