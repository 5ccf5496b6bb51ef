// The KVM device itself.
#pragma once

#include <linux/kvm.h>

#include "base/result.h"
#include "host/fd.h"

namespace vireo::cpu::kvm {

/// Opens the device and checks that its kernel has what this engine needs. Errors: NotFound, Denied, Failed.
Result<host::Fd> open_device(const char* device);

}  // namespace vireo::cpu::kvm
