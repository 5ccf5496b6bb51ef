// CpuState as saved: see vm/state/archive.h.
#pragma once

#include "vm/state/archive.h"
#include "vm/x86/state.h"

namespace vireo::vm::x86 {

void fields(Archive& ar, Segment& s);
void fields(Archive& ar, DescriptorTable& t);
void fields(Archive& ar, GeneralRegs& r);
void fields(Archive& ar, SystemRegs& r);
void fields(Archive& ar, FpuState& f);
void fields(Archive& ar, EventState& e);
void fields(Archive& ar, ApicState& a);
void fields(Archive& ar, ParavirtState& p);
void fields(Archive& ar, CpuState& c);

/// Layout version of a saved CpuState.
constexpr u16 kCpuStateVersion = 2;

}  // namespace vireo::vm::x86
