#include "snapshot/cpu_check.h"

#include <initializer_list>

#include "base/bits.h"

namespace vireo::snapshot {
namespace {

using namespace vm::x86;

/// With 57 linear address bits, the most there are (SDM 1 3.3.7.1).
bool canonical(u64 address) { return static_cast<u64>(static_cast<i64>(address << 7) >> 7) == address; }

bool good_control(const SystemRegs& sys) {
  const bool paging = (sys.cr0 & cr0::PG) != 0, protection = (sys.cr0 & cr0::PE) != 0;
  const bool long_mode = paging && (sys.efer & efer::LME) != 0;
  return sys.cr0 >> 32 == 0 && sys.cr4 >> 32 == 0 && (!paging || protection) &&
         ((sys.cr0 & cr0::NW) == 0 || (sys.cr0 & cr0::CD) != 0) && ((sys.efer & efer::LMA) != 0) == long_mode &&
         (!long_mode || (sys.cr4 & cr4::PAE) != 0) && sys.dr6 >> 32 == 0 && sys.dr7 >> 32 == 0;
}

bool good_xcr0(u64 value) {
  constexpr u64 kKnown = xcr0::X87 | xcr0::SSE | xcr0::AVX | xcr0::kAvx512;
  return (value & ~kKnown) == 0 && xcr0::is_consistent(value);
}

bool good_pat(u64 pat) {
  for (unsigned i = 0; i < 8; ++i) {
    const u64 type = bits(pat, 8 * i, 8);
    if (type > 7 || type == 2 || type == 3) return false;
  }
  return true;
}

}  // namespace

Result<> check(const CpuState& state) {
  const auto& sys = state.sys;
  bool good = good_control(sys) && good_xcr0(sys.xcr0) && good_pat(sys.pat) && state.fpu.mxcsr >> 16 == 0 &&
              (state.regs.rflags & ~rflags::kDefined) == rflags::Fixed1 &&
              (!state.event.pic_accepted || (state.regs.rflags & rflags::IF) != 0);
  for (const u64 address :
       {sys.segment[FS].base, sys.segment[GS].base, sys.segment[TR].base, sys.segment[LDTR].base, sys.kernel_gs_base,
        sys.lstar, sys.cstar, sys.sysenter_eip, sys.sysenter_esp, sys.gdtr.base, sys.idtr.base}) {
    good = good && canonical(address);
  }
  if (!good) return fail(ErrorKind::Usage, "the registers of a vCPU in it are none that a processor can have");
  return {};
}

}  // namespace vireo::snapshot
