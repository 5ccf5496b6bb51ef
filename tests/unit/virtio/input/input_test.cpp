#include "virtio/input/input.h"

#include <gtest/gtest.h>
#include <linux/input.h>

#include "base/bytes.h"
#include "support/virtio_driver.h"

// The kernel's header has macros of the same names, which are the oracle here.
namespace kernel {
constexpr unsigned kEvents[] = {EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_LED, EV_REP};
constexpr unsigned kCodes[] = {REL_HWHEEL, REL_WHEEL, ABS_Y,       LED_SCROLLL,
                               BTN_LEFT,   BTN_EXTRA, KEY_MICMUTE, BUS_VIRTUAL};
}  // namespace kernel
#undef EV_SYN
#undef EV_KEY
#undef EV_REL
#undef EV_ABS
#undef EV_LED
#undef EV_REP
#undef REL_X
#undef REL_Y
#undef REL_HWHEEL
#undef REL_WHEEL
#undef ABS_X
#undef ABS_Y
#undef LED_SCROLLL
#undef BTN_LEFT
#undef BTN_EXTRA
#undef BUS_VIRTUAL
#undef SYN_REPORT

namespace vireo::virtio {
namespace {

using namespace input;
using test::VirtioDriver;

constexpr u64 kIn = VirtioDriver::kData;

class InputTest : public testing::Test {
 protected:
  InputTest() {
    driver.enable();
    driver.start(0);
  }
  std::string ask(u8 select, u8 subsel = 0) {
    driver.write(window::Device, config::select, 1, select);
    driver.write(window::Device, config::subsel, 1, subsel);
    std::string bytes(driver.config<u8>(config::size), '\0');
    for (u32 i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(driver.config<u8>(config::u + i));
    return bytes;
  }
  bool has(u8 type, unsigned code) {
    const auto bits = ask(EV_BITS, type);
    return code / 8 < bits.size() && (bits[code / 8] >> code % 8 & 1) != 0;
  }
  void give_buffers(unsigned count) {
    for (unsigned i = 0; i < count; ++i) driver.ring(eventq).add({{kIn + 8 * (next_++ % 64), 8, true}});
    driver.notify_if_wanted(eventq);
  }
  std::vector<Event> taken() {
    std::vector<Event> events;
    while (const auto used = driver.ring(eventq).take_used()) {
      EXPECT_EQ(used->written, 8u);
      events.push_back(load<Event>(driver.memory.at(kIn + 8 * (got_++ % 64), 8)));
    }
    return events;
  }

  Input* input = new Input(InputKind::Keyboard);
  VirtioDriver driver{std::unique_ptr<Device>(input)};

 private:
  unsigned next_ = 0, got_ = 0;
};

TEST(InputSpec, HasTheKernelsNumbers) {
  const unsigned events[] = {EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_LED, EV_REP};
  const unsigned codes[] = {REL_HWHEEL, REL_WHEEL, ABS_Y, LED_SCROLLL, BTN_LEFT, BTN_EXTRA, kLastKey, BUS_VIRTUAL};
  EXPECT_TRUE(std::ranges::equal(events, kernel::kEvents));
  EXPECT_TRUE(std::ranges::equal(codes, kernel::kCodes));
}

TEST_F(InputTest, AKeyboardSaysWhatItIs) {
  EXPECT_EQ(ask(ID_NAME), "Vireo Keyboard");
  EXPECT_EQ(ask(ID_DEVIDS).size(), 8u);
  EXPECT_EQ(ask(ID_SERIAL), "");
  EXPECT_EQ(ask(0x77), "");
  EXPECT_TRUE(has(EV_KEY, 30));
  EXPECT_FALSE(has(EV_KEY, 0));
  EXPECT_TRUE(has(EV_LED, LED_SCROLLL));
  EXPECT_EQ(ask(EV_BITS, EV_REP).size(), 1u);
  EXPECT_EQ(ask(EV_BITS, EV_ABS), "");
  EXPECT_EQ(ask(ABS_INFO, ABS_X), "");
}

TEST(Inputs, TellWhatTheyHave) {
  EXPECT_TRUE(Input(InputKind::Mouse).has(EV_REL));
  EXPECT_FALSE(Input(InputKind::Mouse).has(EV_ABS));
  EXPECT_TRUE(Input(InputKind::Tablet).has(EV_ABS));
  EXPECT_TRUE(Input(InputKind::Tablet).has(EV_KEY));
}

TEST(Inputs, ATabletHasARangeForBothAxes) {
  VirtioDriver driver(std::make_unique<Input>(InputKind::Tablet));
  driver.write(window::Device, config::select, 2, ABS_INFO | ABS_Y << 8);
  EXPECT_EQ(driver.config<u8>(config::size), 20u);
  EXPECT_EQ(driver.config<u32>(config::u + 4), kAbsMax);
}

TEST_F(InputTest, AReportEndsWithASynchronization) {
  give_buffers(8);
  EXPECT_TRUE(input->report(std::array{Event{EV_KEY, 30, 1}}));
  EXPECT_EQ(taken(), (std::vector<Event>{{EV_KEY, 30, 1}, {EV_SYN, SYN_REPORT, 0}}));
}

TEST_F(InputTest, EventsWaitForBuffers) {
  EXPECT_TRUE(input->report(std::array{Event{EV_KEY, 30, 1}}));
  EXPECT_TRUE(input->report(std::array{Event{EV_KEY, 30, 0}}));
  give_buffers(3);
  EXPECT_EQ(taken().size(), 3u);
  give_buffers(3);
  EXPECT_EQ(taken(), (std::vector<Event>{{EV_SYN, SYN_REPORT, 0}}));
}

TEST_F(InputTest, ReportsThatNobodyFetchesAreDroppedWhole) {
  unsigned taken_reports = 0;
  while (input->report(std::array{Event{EV_KEY, 30, 1}, Event{EV_KEY, 31, 1}})) ++taken_reports;
  EXPECT_EQ(taken_reports, Input::kMaxWaiting / 3);
  unsigned events = 0;
  std::vector<Event> last;
  for (unsigned i = 0; i < 32; ++i) {
    give_buffers(32);
    const auto some = taken();
    events += static_cast<unsigned>(some.size());
    if (!some.empty()) last = some;
  }
  EXPECT_EQ(events, 3 * taken_reports);
  EXPECT_EQ(last.back().type, EV_SYN);
}

TEST_F(InputTest, ABufferThatIsTooSmallLosesNothing) {
  driver.ring(eventq).add({{kIn, 4, true}});
  EXPECT_TRUE(input->report(std::array{Event{EV_KEY, 30, 1}}));
  EXPECT_EQ(driver.ring(eventq).take_used()->written, 0u);
  give_buffers(2);
  EXPECT_EQ(taken().size(), 2u);
}

TEST_F(InputTest, LightsAreTaken) {
  driver.ring(statusq).add({{kIn, 8}});
  driver.notify(statusq);
  EXPECT_TRUE(driver.ring(statusq).take_used());
}

TEST_F(InputTest, SavedStateComesBack) {
  EXPECT_TRUE(input->report(std::array{Event{EV_KEY, 30, 1}}));
  driver.write(window::Device, config::select, 1, ID_NAME);
  driver.device.pause();
  const auto record = driver.device.save();
  driver.device.reset();
  ASSERT_TRUE(driver.device.load(record));
  EXPECT_EQ(driver.device.save().bytes, record.bytes);
  driver.device.resume();
  EXPECT_EQ(driver.config<u8>(config::size), 14u);
  give_buffers(2);
  EXPECT_EQ(taken(), (std::vector<Event>{{EV_KEY, 30, 1}, {EV_SYN, SYN_REPORT, 0}}));
}

}  // namespace
}  // namespace vireo::virtio
