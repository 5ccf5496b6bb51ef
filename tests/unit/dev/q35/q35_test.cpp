#include "dev/q35/q35.h"

#include <gtest/gtest.h>

#include "dev/q35/spec.h"

namespace vireo::dev {
namespace {

using namespace q35;

TEST(Q35, MovesConfigurationSpaceWhereFirmwareWantsIt) {
  Q35Mch mch;
  EXPECT_EQ(mch.config_read(0, 4), 0x29C08086u);
  EXPECT_FALSE(mch.ecam_base());
  mch.config_write(mch::PCIEXBAR + 4, 4, 0);
  mch.config_write(mch::PCIEXBAR, 4, 0xB0000001);
  EXPECT_EQ(mch.ecam_base(), 0xB0000000u);
  const auto saved = mch.save();
  mch.reset();
  EXPECT_FALSE(mch.ecam_base());
  ASSERT_TRUE(mch.load(saved));
  EXPECT_EQ(mch.ecam_base(), 0xB0000000u);
}

TEST(Q35, KeepsHowRamIsShadowed) {
  Q35Mch mch;
  EXPECT_EQ(mch.config_read(mch::PAM0, 1), 0u);
  mch.config_write(mch::PAM0, 4, 0xFFFFFFFF);
  EXPECT_EQ(mch.config_read(mch::PAM0, 4), 0x33333333u);
}

TEST(Q35, RoutesNoInterruptAtFirst) {
  Ich9Lpc lpc;
  EXPECT_EQ(lpc.config_read(0, 4), 0x29188086u);
  EXPECT_EQ(lpc.config_read(lpc::PIRQA_ROUT, 4), 0x80808080u);
  EXPECT_EQ(lpc.config_read(lpc::PIRQE_ROUT, 4), 0x80808080u);
  lpc.config_write(lpc::PIRQE_ROUT, 1, 10);
  EXPECT_EQ(lpc.config_read(lpc::PIRQE_ROUT, 1), 10u);
}

TEST(Q35, SaysThatSystemManagementModeIsSetUp) {
  Ich9Lpc lpc;
  lpc.smi_ports().port_write(0, 4, 0);
  EXPECT_EQ(lpc.smi_ports().port_read(0, 4), APMC_EN);
  EXPECT_EQ(lpc.smi_ports().port_read(4, 4), 0u);
  EXPECT_EQ(lpc.smi_ports().port_read(200, 4), 0xFFFFFFFFu);
}

}  // namespace
}  // namespace vireo::dev
