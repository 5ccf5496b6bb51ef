#include <gtest/gtest.h>
#include <unistd.h>

#include "cpu/kvm/kvm.h"
#include "guest.h"

namespace vireo::cpu::kvm {
namespace {

TEST(KvmHost, AMissingDeviceIsNotFoundAndSaysWhatToDo) {
  const auto support = probe("/dev/there-is-no-such-device");
  EXPECT_FALSE(support.usable);
  EXPECT_FALSE(support.hardware_backed);
  EXPECT_EQ(support.kind, ErrorKind::NotFound);
  EXPECT_NE(support.reason.find("--engine interpret"), std::string::npos);
}

TEST(KvmHost, AnotherDeviceIsNoKvm) {
  const auto support = probe("/dev/null");
  EXPECT_FALSE(support.usable);
  EXPECT_EQ(support.kind, ErrorKind::NotFound);
}

TEST(KvmHost, ADeviceWithoutPermissionIsDeniedAndSaysWhatToDo) {
  SKIP_WITHOUT_KVM();
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give up its rights";
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(::seteuid(kNobody), 0);
  const bool accessible = ::eaccess("/dev/kvm", R_OK | W_OK) == 0;
  const auto support = probe();
  ASSERT_EQ(::seteuid(0), 0);
  if (accessible) GTEST_SKIP() << "everybody may use /dev/kvm here";
  EXPECT_FALSE(support.usable);
  EXPECT_EQ(support.kind, ErrorKind::Denied);
  EXPECT_NE(support.reason.find("group"), std::string::npos);
}

TEST(KvmHost, TheReasonIsOneLine) {
  const auto support = probe();
  EXPECT_FALSE(support.reason.empty());
  EXPECT_EQ(support.reason.find('\n'), std::string::npos);
  EXPECT_TRUE(support.usable || !support.hardware_backed);
}

}  // namespace
}  // namespace vireo::cpu::kvm
