// What a running VM asks the kernel for.
#include "cpu/kvm/abi.h"
#include "cpu/kvm/kvm.h"

namespace vireo::cpu::kvm {

std::span<const unsigned long> requests_of_a_running_vm() {
  static constexpr unsigned long kRequests[] = {
      // every exit
      KVM_RUN, KVM_INTERRUPT, KVM_SIGNAL_MSI, abi::SetGsiRouting, abi::SetSignalMask,
      // the state of a vCPU: instructions handed over, reset, save
      KVM_GET_MP_STATE, KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_SREGS2, KVM_GET_DEBUGREGS, abi::GetXsave, KVM_GET_XCRS,
      KVM_GET_LAPIC, abi::GetMsrs, KVM_GET_VCPU_EVENTS,  //
      KVM_SET_MP_STATE, KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_SREGS2, KVM_SET_DEBUGREGS, abi::SetXsave, KVM_SET_XCRS,
      KVM_SET_LAPIC, abi::SetMsrs, KVM_SET_VCPU_EVENTS,
      // time, after the machine stood still
      KVM_SET_CLOCK, KVM_SET_TSC_KHZ, KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR};
  return kRequests;
}

}  // namespace vireo::cpu::kvm
