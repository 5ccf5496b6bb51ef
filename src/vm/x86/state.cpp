#include "vm/x86/state.h"

namespace vireo::vm::x86 {
namespace {

constexpr u32 kRealModeData = 0x93;  // present, S, data read/write accessed
constexpr u32 kRealModeCode = 0x9B;
constexpr u32 kLdtPresent = 0x82;
constexpr u32 kBusyTss = 0x8B;
constexpr u32 kFamilyModelStepping = 0x00800F12;

Segment real_mode_segment(u16 selector, u32 attributes) {
  return {.selector = selector, .attributes = attributes, .limit = 0xFFFF, .base = u64{selector} << 4};
}

void reset_segments(SystemRegs& sys) {
  for (auto seg : {ES, SS, DS, FS, GS}) sys.segment[seg] = real_mode_segment(0, kRealModeData);
  sys.segment[CS] = {.selector = 0xF000, .attributes = kRealModeCode, .limit = 0xFFFF, .base = 0xFFFF0000};
  sys.segment[LDTR] = {.selector = 0, .attributes = kLdtPresent, .limit = 0xFFFF, .base = 0};
  sys.segment[TR] = {.selector = 0, .attributes = kBusyTss, .limit = 0xFFFF, .base = 0};
  sys.gdtr = sys.idtr = {.base = 0, .limit = 0xFFFF};
}

}  // namespace

CpuState reset_state(bool bootstrap_processor, u32 apic_id) {
  CpuState state;
  state.regs.rip = 0xFFF0;
  state.regs.gpr[RDX] = kFamilyModelStepping;
  state.sys.cr0 = cr0::CD | cr0::NW | cr0::ET;
  reset_segments(state.sys);
  state.fpu.fcw = 0x40;
  state.event.activity = bootstrap_processor ? Activity::Running : Activity::WaitForSipi;
  state.apic.apic_base = 0xFEE00000 | bit(11) | (bootstrap_processor ? bit(8) : 0);
  state.apic.regs[0x2] = apic_id << 24;  // ID
  state.apic.regs[0x3] = 0x00050014;     // version 0x14, 6 LVT entries
  state.apic.regs[0xE] = 0xFFFFFFFF;     // DFR
  state.apic.regs[0xF] = 0xFF;           // SVR: disabled
  for (unsigned lvt = 0x32; lvt <= 0x37; ++lvt) state.apic.regs[lvt] = 0x10000;
  return state;
}

void apply_init(CpuState& state) {
  const SystemRegs old = state.sys;
  state.regs = {};
  state.regs.rip = 0xFFF0;
  state.regs.gpr[RDX] = kFamilyModelStepping;
  state.sys.cr0 = (old.cr0 & (cr0::CD | cr0::NW)) | cr0::ET;
  state.sys.cr2 = state.sys.cr3 = state.sys.cr4 = 0;
  state.sys.efer = 0;
  state.sys.dr = {};
  state.sys.dr6 = dr6::kFixed1;
  state.sys.dr7 = dr7::kFixed1;
  reset_segments(state.sys);
  state.event = {};
  state.event.activity = Activity::WaitForSipi;
}

void apply_sipi(CpuState& state, u8 vector) {
  state.sys.segment[CS] = {.selector = static_cast<u16>(vector << 8),
                           .attributes = kRealModeCode,
                           .limit = 0xFFFF,
                           .base = u64{vector} << 12};
  state.regs.rip = 0;
  state.event.activity = Activity::Running;
}

}  // namespace vireo::vm::x86
