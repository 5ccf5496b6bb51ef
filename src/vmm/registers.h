// A vCPU's registers for people.
#pragma once

#include <string>

#include "vm/x86/state.h"

namespace vireo::vmm {

/// A block of lines, without a line end after the last.
std::string describe_registers(const vm::x86::CpuState& state);

}  // namespace vireo::vmm
