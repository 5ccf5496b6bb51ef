// Whether a vCPU state from a file can be that of an x86 processor at all. An engine may put registers into the host's
// own (MXCSR, XCR0), where a reserved bit would fault.
#pragma once

#include "base/result.h"
#include "vm/x86/state.h"

namespace vireo::snapshot {

/// The consistency rules of SDM 3C 27.3.1 (checks on the guest state area) that matter to every engine.
Result<> check(const vm::x86::CpuState& state);

}  // namespace vireo::snapshot
