// Which instruction sets a CPUID table announces, in Zydis's terms.
#pragma once

#include <Zydis/Zydis.h>

#include <bitset>

#include "vm/x86/cpuid.h"

namespace vireo::cpu::interp {

using IsaSets = std::bitset<ZYDIS_ISA_SET_MAX_VALUE + 1>;

/// The unprivileged instruction sets that the host may run for a guest with this CPUID.
IsaSets announced_isa_sets(const vm::x86::CpuidTable& cpuid);

}  // namespace vireo::cpu::interp
