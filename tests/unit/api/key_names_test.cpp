#include "api/key_names.h"

#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

namespace vireo::api {
namespace {

TEST(KeyNames, LeadToLinuxsCodes) {
  EXPECT_EQ(key_by_name("a"), KEY_A);
  EXPECT_EQ(key_by_name("ret"), KEY_ENTER);
  EXPECT_EQ(key_by_name("spc"), KEY_SPACE);
  EXPECT_EQ(key_by_name("f12"), KEY_F12);
  EXPECT_EQ(key_by_name("kp_enter"), KEY_KPENTER);
  EXPECT_EQ(key_by_name("pgdn"), KEY_PAGEDOWN);
  EXPECT_EQ(key_by_name("sysrq"), KEY_SYSRQ);
  EXPECT_EQ(key_by_name("meta_l"), KEY_LEFTMETA);
  EXPECT_EQ(key_by_name("ac_refresh"), KEY_REFRESH);
  EXPECT_EQ(key_by_name("A"), std::nullopt);
  EXPECT_EQ(key_by_name(""), std::nullopt);
}

TEST(KeyNames, AndSoDoNumbers) {
  EXPECT_EQ(key_by_number(0x1E), KEY_A);
  EXPECT_EQ(key_by_number(0xC8), KEY_UP);
  EXPECT_EQ(key_by_number(0), std::nullopt);
  EXPECT_EQ(key_by_number(-1), std::nullopt);
  EXPECT_EQ(key_by_number(0x1001E), std::nullopt);
}

}  // namespace
}  // namespace vireo::api
