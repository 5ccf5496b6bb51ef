#include "dev/i8042/i8042.h"

#include <gtest/gtest.h>

#include "unit/dev/fakes.h"

namespace vireo::dev {
namespace {

using namespace i8042;

class KeyboardController : public testing::Test {
 protected:
  u8 data() { return static_cast<u8>(chip.data_port().port_read(0, 1)); }
  u8 status() { return static_cast<u8>(chip.command_port().port_read(0, 1)); }
  void data(u8 value) { chip.data_port().port_write(0, 1, value); }
  void command(u8 value) { chip.command_port().port_write(0, 1, value); }
  void command(Command value) { command(static_cast<u8>(value)); }

  test::FakeLine keyboard, aux;
  test::FakePower power;
  I8042 chip{keyboard, aux, power};
};

TEST_F(KeyboardController, PassesItsSelfTests) {
  EXPECT_EQ(status() & status::OutputFull, 0);
  command(Command::SelfTest);
  EXPECT_EQ(status() & (status::OutputFull | status::InputFull), status::OutputFull);
  EXPECT_EQ(data(), kSelfTestPassed);
  command(Command::KeyboardTest);
  EXPECT_EQ(data(), kPortTestPassed);
  command(Command::AuxTest);
  EXPECT_EQ(data(), kPortTestPassed);
  EXPECT_EQ(status() & status::OutputFull, 0);
}

TEST_F(KeyboardController, KeepsTheCommandByte) {
  command(Command::WriteRam);
  data(config::KeyboardInterrupt | config::Translate);
  command(Command::ReadRam);
  EXPECT_TRUE(keyboard.level);
  EXPECT_EQ(data(), config::KeyboardInterrupt | config::Translate);
  EXPECT_FALSE(keyboard.level);
  command(Command::AuxDisable);
  command(Command::ReadRam);
  EXPECT_EQ(data() & config::AuxOff, config::AuxOff);
  command(Command::AuxEnable);
  command(Command::ReadRam);
  EXPECT_EQ(data() & config::AuxOff, 0);
}

TEST_F(KeyboardController, LoopsBytesBackThroughEitherPort) {
  // i8042_check_aux() in Linux
  command(Command::WriteRam);
  data(config::AuxInterrupt);
  command(Command::WriteAuxOutput);
  data(0x5A);
  EXPECT_TRUE(aux.level);
  EXPECT_EQ(status() & status::AuxOutputFull, status::AuxOutputFull);
  EXPECT_EQ(data(), 0x5A);
  EXPECT_FALSE(aux.level);
  command(Command::WriteKeyboardOutput);
  data(0xA5);
  EXPECT_EQ(status() & status::AuxOutputFull, 0);
  EXPECT_EQ(data(), 0xA5);
}

TEST_F(KeyboardController, NobodyAnswersAtTheKeyboardPort) {
  data(0xFF);
  EXPECT_EQ(status() & status::OutputFull, 0);
  command(Command::WriteAux);
  data(0xF4);
  EXPECT_EQ(status() & status::OutputFull, 0);
}

TEST_F(KeyboardController, ResetsTheProcessor) {
  command(0xFE);
  ASSERT_EQ(power.requests.size(), 1U);
  EXPECT_EQ(power.requests[0], vm::PowerControl::Request::Reset);
  command(0xFF);
  EXPECT_EQ(power.requests.size(), 1U) << "pulses nothing";
  command(Command::WriteOutputPort);
  data(output::A20);
  EXPECT_EQ(power.requests.size(), 2U);
}

TEST_F(KeyboardController, SwitchesA20) {
  EXPECT_TRUE(chip.a20());
  command(Command::WriteOutputPort);
  data(output::NotReset);
  EXPECT_FALSE(chip.a20());
  command(Command::EnableA20);
  EXPECT_TRUE(chip.a20());
  command(Command::ReadOutputPort);
  EXPECT_EQ(data() & (output::A20 | output::NotReset), output::A20 | output::NotReset);
  EXPECT_TRUE(power.requests.empty());
}

TEST_F(KeyboardController, GoesOnFromASavedState) {
  command(Command::WriteRam);
  data(config::KeyboardInterrupt);
  command(Command::WriteKeyboardOutput);
  data(0x42);
  const auto saved = chip.save();
  test::FakeLine other_keyboard, other_aux;
  I8042 other(other_keyboard, other_aux, power);
  ASSERT_TRUE(other.load(saved));
  EXPECT_TRUE(other_keyboard.level);
  EXPECT_EQ(other.data_port().port_read(0, 1), 0x42U);
  EXPECT_FALSE(other.load(test::truncated(saved)));
}

}  // namespace
}  // namespace vireo::dev
