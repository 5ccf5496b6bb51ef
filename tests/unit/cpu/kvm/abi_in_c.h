/* The request numbers and sizes of <linux/kvm.h> as C has them. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

enum kvm_abi_request {
  kGetMsrIndexList,
  kGetSupportedCpuid,
  kSetGsiRouting,
  kGetMsrs,
  kSetMsrs,
  kSetCpuid2,
  kSetSignalMask,
  kGetXsave,
  kSetXsave,
  kRequests
};
extern const unsigned long kvm_abi_requests[kRequests];
/* Offsets of the arrays in kvm_msrs, kvm_cpuid2, kvm_irq_routing; size of kvm_xsave. */
extern const unsigned long kvm_abi_array_offsets[3];
extern const unsigned long kvm_abi_xsave_size;

#ifdef __cplusplus
}
#endif
