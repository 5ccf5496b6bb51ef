#include "abi_in_c.h"

#include <linux/kvm.h>
#include <stddef.h>
#include <sys/ioctl.h>

const unsigned long kvm_abi_requests[kRequests] = {
    [kGetMsrIndexList] = KVM_GET_MSR_INDEX_LIST,
    [kGetSupportedCpuid] = KVM_GET_SUPPORTED_CPUID,
    [kSetGsiRouting] = KVM_SET_GSI_ROUTING,
    [kGetMsrs] = KVM_GET_MSRS,
    [kSetMsrs] = KVM_SET_MSRS,
    [kSetCpuid2] = KVM_SET_CPUID2,
    [kSetSignalMask] = KVM_SET_SIGNAL_MASK,
    [kGetXsave] = KVM_GET_XSAVE,
    [kSetXsave] = KVM_SET_XSAVE,
};
const unsigned long kvm_abi_array_offsets[3] = {
    offsetof(struct kvm_msrs, entries),
    offsetof(struct kvm_cpuid2, entries),
    offsetof(struct kvm_irq_routing, entries),
};
const unsigned long kvm_abi_xsave_size = sizeof(struct kvm_xsave);
