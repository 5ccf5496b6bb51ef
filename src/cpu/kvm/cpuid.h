// CPUID as the host's KVM can give it.
#pragma once

#include "base/result.h"
#include "vm/x86/cpuid.h"

namespace vireo::cpu::kvm {

/// KVM_GET_SUPPORTED_CPUID of the device `fd`.
Result<vm::x86::CpuidTable> supported_cpuid(int fd);

/// `wanted` without the feature bits that `supported` lacks, its XSAVE components where the hardware puts them. What is
/// no feature (names, topology) stays.
vm::x86::CpuidTable intersect(const vm::x86::CpuidTable& wanted, const vm::x86::CpuidTable& supported);

/// KVM_SET_CPUID2 on the vCPU `fd`.
Result<> set_cpuid(int fd, const vm::x86::CpuidTable& table);

}  // namespace vireo::cpu::kvm
