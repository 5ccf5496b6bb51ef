#include "cpu/kvm/abi.h"

#include <gtest/gtest.h>

#include "abi_in_c.h"

namespace vireo::cpu::kvm {
namespace {

TEST(KvmAbi, RequestNumbersAreThoseOfTheHeaderInC) {
  const auto c = [](kvm_abi_request request) { return kvm_abi_requests[request]; };
  EXPECT_EQ(abi::GetMsrIndexList, c(kGetMsrIndexList));
  EXPECT_EQ(abi::GetSupportedCpuid, c(kGetSupportedCpuid));
  EXPECT_EQ(abi::SetGsiRouting, c(kSetGsiRouting));
  EXPECT_EQ(abi::GetMsrs, c(kGetMsrs));
  EXPECT_EQ(abi::SetMsrs, c(kSetMsrs));
  EXPECT_EQ(abi::SetCpuid2, c(kSetCpuid2));
  EXPECT_EQ(abi::SetSignalMask, c(kSetSignalMask));
  EXPECT_EQ(abi::GetXsave, c(kGetXsave));
  EXPECT_EQ(abi::SetXsave, c(kSetXsave));
  EXPECT_EQ(abi::kXsaveSize, kvm_abi_xsave_size);
}

TEST(KvmAbi, ArraysBeginWhereCPutsThem) {
  for (const unsigned long offset : kvm_abi_array_offsets) {
    abi::Array<kvm_msr_entry> array(2);
    EXPECT_EQ(reinterpret_cast<u8*>(array.entries()) - static_cast<u8*>(array.data()),
              static_cast<std::ptrdiff_t>(offset));
    EXPECT_EQ(array.count(), 2u);
  }
}

}  // namespace
}  // namespace vireo::cpu::kvm
