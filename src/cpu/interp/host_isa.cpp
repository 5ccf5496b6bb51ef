#include "cpu/interp/host_isa.h"

#include "base/bits.h"

namespace vireo::cpu::interp {

namespace {

enum Reg : u8 { EAX, EBX, ECX, EDX };

struct Feature {
  u32 leaf, subleaf;
  Reg reg;
  u8 bit;
  ZydisISASet set;
};

// SDM 2A table 3-8 (CPUID); APM 3 appendix E for the 8000_0001h bits.
constexpr Feature kFeatures[] = {
    {1, 0, EDX, 0, ZYDIS_ISA_SET_X87},
    {1, 0, EDX, 0, ZYDIS_ISA_SET_PPRO},  // FCOMI and relatives; needs CMOV too, as the next row
    {1, 0, EDX, 15, ZYDIS_ISA_SET_FCMOV},
    {1, 0, EDX, 19, ZYDIS_ISA_SET_CLFSH},
    {1, 0, EDX, 23, ZYDIS_ISA_SET_PENTIUMMMX},
    {1, 0, EDX, 24, ZYDIS_ISA_SET_FXSAVE},
    {1, 0, EDX, 24, ZYDIS_ISA_SET_FXSAVE64},
    {1, 0, EDX, 25, ZYDIS_ISA_SET_SSE},
    {1, 0, EDX, 25, ZYDIS_ISA_SET_SSEMXCSR},
    {1, 0, EDX, 25, ZYDIS_ISA_SET_SSE_PREFETCH},
    {1, 0, EDX, 26, ZYDIS_ISA_SET_SSE2},
    {1, 0, EDX, 26, ZYDIS_ISA_SET_SSE2MMX},
    {1, 0, ECX, 0, ZYDIS_ISA_SET_SSE3},
    {1, 0, ECX, 0, ZYDIS_ISA_SET_SSE3X87},
    {1, 0, ECX, 1, ZYDIS_ISA_SET_PCLMULQDQ},
    {1, 0, ECX, 9, ZYDIS_ISA_SET_SSSE3},
    {1, 0, ECX, 9, ZYDIS_ISA_SET_SSSE3MMX},
    {1, 0, ECX, 12, ZYDIS_ISA_SET_FMA},
    {1, 0, ECX, 19, ZYDIS_ISA_SET_SSE4},
    {1, 0, ECX, 20, ZYDIS_ISA_SET_SSE42},
    {1, 0, ECX, 23, ZYDIS_ISA_SET_POPCNT},
    {1, 0, ECX, 25, ZYDIS_ISA_SET_AES},
    {1, 0, ECX, 25, ZYDIS_ISA_SET_AVXAES},
    {1, 0, ECX, 26, ZYDIS_ISA_SET_XSAVE},
    {1, 0, ECX, 28, ZYDIS_ISA_SET_AVX},
    {1, 0, ECX, 29, ZYDIS_ISA_SET_F16C},
    {1, 0, ECX, 30, ZYDIS_ISA_SET_RDRAND},
    {7, 0, EBX, 3, ZYDIS_ISA_SET_BMI1},
    {7, 0, EBX, 5, ZYDIS_ISA_SET_AVX2},
    {7, 0, EBX, 5, ZYDIS_ISA_SET_AVX2GATHER},
    {7, 0, EBX, 8, ZYDIS_ISA_SET_BMI2},
    {7, 0, EBX, 18, ZYDIS_ISA_SET_RDSEED},
    {7, 0, EBX, 19, ZYDIS_ISA_SET_ADOX_ADCX},
    {7, 0, EBX, 23, ZYDIS_ISA_SET_CLFLUSHOPT},
    {7, 0, EBX, 24, ZYDIS_ISA_SET_CLWB},
    {7, 0, EBX, 29, ZYDIS_ISA_SET_SHA},
    {7, 0, ECX, 8, ZYDIS_ISA_SET_GFNI},
    {7, 0, ECX, 8, ZYDIS_ISA_SET_AVX_GFNI},
    {7, 0, ECX, 9, ZYDIS_ISA_SET_VAES},
    {7, 0, ECX, 10, ZYDIS_ISA_SET_VPCLMULQDQ},
    {7, 1, EAX, 4, ZYDIS_ISA_SET_AVX_VNNI},
    {7, 0, EBX, 16, ZYDIS_ISA_SET_AVX512F_128},
    {7, 0, EBX, 16, ZYDIS_ISA_SET_AVX512F_256},
    {7, 0, EBX, 16, ZYDIS_ISA_SET_AVX512F_512},
    {7, 0, EBX, 16, ZYDIS_ISA_SET_AVX512F_128N},
    {7, 0, EBX, 16, ZYDIS_ISA_SET_AVX512F_SCALAR},
    {7, 0, EBX, 16, ZYDIS_ISA_SET_AVX512F_KOP},
    {7, 0, EBX, 17, ZYDIS_ISA_SET_AVX512DQ_128},
    {7, 0, EBX, 17, ZYDIS_ISA_SET_AVX512DQ_256},
    {7, 0, EBX, 17, ZYDIS_ISA_SET_AVX512DQ_512},
    {7, 0, EBX, 17, ZYDIS_ISA_SET_AVX512DQ_128N},
    {7, 0, EBX, 17, ZYDIS_ISA_SET_AVX512DQ_SCALAR},
    {7, 0, EBX, 17, ZYDIS_ISA_SET_AVX512DQ_KOP},
    {7, 0, EBX, 21, ZYDIS_ISA_SET_AVX512_IFMA_128},
    {7, 0, EBX, 21, ZYDIS_ISA_SET_AVX512_IFMA_256},
    {7, 0, EBX, 21, ZYDIS_ISA_SET_AVX512_IFMA_512},
    {7, 0, EBX, 28, ZYDIS_ISA_SET_AVX512CD_128},
    {7, 0, EBX, 28, ZYDIS_ISA_SET_AVX512CD_256},
    {7, 0, EBX, 28, ZYDIS_ISA_SET_AVX512CD_512},
    {7, 0, EBX, 30, ZYDIS_ISA_SET_AVX512BW_128},
    {7, 0, EBX, 30, ZYDIS_ISA_SET_AVX512BW_256},
    {7, 0, EBX, 30, ZYDIS_ISA_SET_AVX512BW_512},
    {7, 0, EBX, 30, ZYDIS_ISA_SET_AVX512BW_128N},
    {7, 0, EBX, 30, ZYDIS_ISA_SET_AVX512BW_KOP},
    {7, 0, ECX, 1, ZYDIS_ISA_SET_AVX512_VBMI_128},
    {7, 0, ECX, 1, ZYDIS_ISA_SET_AVX512_VBMI_256},
    {7, 0, ECX, 1, ZYDIS_ISA_SET_AVX512_VBMI_512},
    {7, 0, ECX, 6, ZYDIS_ISA_SET_AVX512_VBMI2_128},
    {7, 0, ECX, 6, ZYDIS_ISA_SET_AVX512_VBMI2_256},
    {7, 0, ECX, 6, ZYDIS_ISA_SET_AVX512_VBMI2_512},
    {7, 0, ECX, 8, ZYDIS_ISA_SET_AVX512_GFNI_128},
    {7, 0, ECX, 8, ZYDIS_ISA_SET_AVX512_GFNI_256},
    {7, 0, ECX, 8, ZYDIS_ISA_SET_AVX512_GFNI_512},
    {7, 0, ECX, 9, ZYDIS_ISA_SET_AVX512_VAES_128},
    {7, 0, ECX, 9, ZYDIS_ISA_SET_AVX512_VAES_256},
    {7, 0, ECX, 9, ZYDIS_ISA_SET_AVX512_VAES_512},
    {7, 0, ECX, 10, ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_128},
    {7, 0, ECX, 10, ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_256},
    {7, 0, ECX, 10, ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_512},
    {7, 0, ECX, 11, ZYDIS_ISA_SET_AVX512_VNNI_128},
    {7, 0, ECX, 11, ZYDIS_ISA_SET_AVX512_VNNI_256},
    {7, 0, ECX, 11, ZYDIS_ISA_SET_AVX512_VNNI_512},
    {7, 0, ECX, 12, ZYDIS_ISA_SET_AVX512_BITALG_128},
    {7, 0, ECX, 12, ZYDIS_ISA_SET_AVX512_BITALG_256},
    {7, 0, ECX, 12, ZYDIS_ISA_SET_AVX512_BITALG_512},
    {7, 0, ECX, 14, ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_128},
    {7, 0, ECX, 14, ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_256},
    {7, 0, ECX, 14, ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512},
    {7, 1, EAX, 5, ZYDIS_ISA_SET_AVX512_BF16_128},
    {7, 1, EAX, 5, ZYDIS_ISA_SET_AVX512_BF16_256},
    {7, 1, EAX, 5, ZYDIS_ISA_SET_AVX512_BF16_512},
    {0xD, 1, EAX, 0, ZYDIS_ISA_SET_XSAVEOPT},
    {0xD, 1, EAX, 1, ZYDIS_ISA_SET_XSAVEC},
    {0xD, 1, EAX, 3, ZYDIS_ISA_SET_XSAVES},
    {0x8000'0001, 0, ECX, 5, ZYDIS_ISA_SET_LZCNT},
    {0x8000'0001, 0, ECX, 6, ZYDIS_ISA_SET_SSE4A},
};

/// AVX512F, BW and VL, which CPU models have together or not at all.
constexpr u32 kAvx512Base = bit(16) | bit(30) | bit(31);

}  // namespace

IsaSets announced_isa_sets(const vm::x86::CpuidTable& cpuid) {
  IsaSets sets;
  for (const Feature& feature : kFeatures) {
    const auto* leaf = cpuid.find(feature.leaf, feature.subleaf);
    if (leaf == nullptr || (feature.subleaf != 0 && !leaf->subleaf_matters)) continue;
    const u32 values[] = {leaf->eax, leaf->ebx, leaf->ecx, leaf->edx};
    if (values[feature.reg] & bit(feature.bit)) sets.set(feature.set);
  }
  // The 256-bit forms of these live in sets of their own and need AVX as well.
  if (!sets.test(ZYDIS_ISA_SET_AVX)) {
    for (auto set : {ZYDIS_ISA_SET_AVXAES, ZYDIS_ISA_SET_AVX_GFNI, ZYDIS_ISA_SET_VAES, ZYDIS_ISA_SET_VPCLMULQDQ}) {
      sets.reset(set);
    }
  }
  // EVEX forms of other sets, and all of them without the vector lengths that stubs use, need AVX-512 as well.
  if (const auto* leaf = cpuid.find(7, 0); leaf == nullptr || (leaf->ebx & kAvx512Base) != kAvx512Base) {
    for (unsigned set = ZYDIS_ISA_SET_AVX512BW_128; set <= ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512; ++set) sets.reset(set);
  }
  if (!sets.test(ZYDIS_ISA_SET_FCMOV)) sets.reset(ZYDIS_ISA_SET_PPRO);
  // These spaces were no-ops before they had a meaning, and are executed as such.
  for (auto set : {ZYDIS_ISA_SET_FAT_NOP, ZYDIS_ISA_SET_PREFETCH_NOP, ZYDIS_ISA_SET_CET, ZYDIS_ISA_SET_CLDEMOTE}) {
    sets.set(set);
  }
  return sets;
}

}  // namespace vireo::cpu::interp
