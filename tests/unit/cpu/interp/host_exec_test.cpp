// What the comparison with the host CPU cannot reach: control registers, CPUID, unusual modes, stub memory.
#include <gtest/gtest.h>

#include "lone_cpu.h"

namespace vireo::cpu::interp {
namespace {

using namespace vm::x86;

constexpr int kNone = -1, kUD = 6, kNM = 7, kGP = 13, kMF = 16, kXM = 19;

const std::vector<u8> kAddps = {0x0F, 0x58, 0xC1};         // ADDPS xmm0, xmm1
const std::vector<u8> kVaddps = {0xC5, 0xF4, 0x58, 0xC2};  // VADDPS ymm0, ymm1, ymm2
const std::vector<u8> kDivps = {0x0F, 0x5E, 0xC1};         // DIVPS xmm0, xmm1
const std::vector<u8> kPaddb = {0x0F, 0xFC, 0xC1};         // PADDB mm0, mm1
const std::vector<u8> kFld1 = {0xD9, 0xE8};
const std::vector<u8> kFwait = {0x9B};
const std::vector<u8> kAndn = {0xC4, 0xE2, 0x70, 0xF2, 0xC2};  // ANDN eax, ecx, edx
const std::vector<u8> kSha = {0x0F, 0x38, 0xC8, 0xC1};         // SHA1NEXTE xmm0, xmm1

void clear_feature(CpuidTable& table, u32 leaf, u32 CpuidLeaf::* reg, unsigned bit_number) {
  for (auto& entry : table.leaves) {
    if (entry.leaf == leaf) entry.*reg &= ~static_cast<u32>(bit(bit_number));
  }
}

TEST(HostExec, RefusesSseWithoutItsControlBits) {
  LoneCpu lone;
  EXPECT_EQ(lone.vector(kAddps), kNone);
  lone.cpu.sys.cr4 &= ~cr4::OSFXSR;
  EXPECT_EQ(lone.vector(kAddps), kUD);
  lone.cpu.sys.cr4 |= cr4::OSFXSR;
  lone.cpu.sys.cr0 |= cr0::TS;
  lone.cpu.update_mode();
  EXPECT_EQ(lone.vector(kAddps), kNM);
  lone.cpu.sys.cr0 |= cr0::EM;
  lone.cpu.update_mode();
  EXPECT_EQ(lone.vector(kAddps), kUD);
}

TEST(HostExec, ChecksConversionsToGeneralRegistersFromMemoryAsSse) {
  LoneCpu lone;
  lone.cpu.sys.cr4 &= ~cr4::OSFXSR;
  EXPECT_EQ(lone.vector({0xF2, 0x0F, 0x2D, 0x05, 0, 0x10, 0, 0}), kUD);  // CVTSD2SI eax, [1000h]
}

TEST(HostExec, RefusesAvxWithoutEnabledStateAndOutsideProtectedMode) {
  LoneCpu lone;
  EXPECT_EQ(lone.vector(kVaddps), kNone);
  lone.cpu.sys.xcr0 = xcr0::X87 | xcr0::SSE;
  EXPECT_EQ(lone.vector(kVaddps), kUD);
  lone.cpu.sys.xcr0 |= xcr0::AVX;
  lone.cpu.sys.cr4 &= ~cr4::OSXSAVE;
  EXPECT_EQ(lone.vector(kVaddps), kUD);
  EXPECT_EQ(lone.vector(kAndn), kNone) << "general-register instructions need no vector state";
  lone.enter_real_mode();
  EXPECT_EQ(lone.vector(kAndn), kUD);
}

TEST(HostExec, RefusesX87AndMmxByEmAndTs) {
  LoneCpu lone;
  lone.cpu.sys.cr0 |= cr0::EM;
  lone.cpu.update_mode();
  EXPECT_EQ(lone.vector(kFld1), kNM);
  EXPECT_EQ(lone.vector(kPaddb), kUD);
  lone.cpu.sys.cr0 ^= cr0::EM | cr0::TS;
  lone.cpu.update_mode();
  EXPECT_EQ(lone.vector(kFld1), kNM);
  EXPECT_EQ(lone.vector(kPaddb), kNM);
}

TEST(HostExec, LetsFwaitPassUnlessMonitored) {
  LoneCpu lone;
  lone.cpu.sys.cr0 |= cr0::TS;
  lone.cpu.update_mode();
  EXPECT_EQ(lone.vector(kFwait), kNM);
  lone.cpu.sys.cr0 &= ~cr0::MP;
  EXPECT_EQ(lone.vector(kFwait), kNone);
}

TEST(HostExec, RunsOnlyWhatCpuidAnnounces) {
  auto cpuid = x86::make_cpuid({});
  clear_feature(cpuid, 7, &CpuidLeaf::ebx, 29);
  clear_feature(cpuid, 7, &CpuidLeaf::ebx, 3);
  LoneCpu lone(cpuid);
  EXPECT_EQ(lone.vector(kSha), kUD);
  EXPECT_EQ(lone.vector(kAndn), kUD);
  // TZCNT without BMI1 is BSF: with a zero source the destination stays.
  lone.cpu.r[RAX] = 77;
  lone.cpu.r[RCX] = 0;
  EXPECT_EQ(lone.vector({0xF3, 0x0F, 0xBC, 0xC1}), kNone);
  EXPECT_EQ(lone.cpu.r[RAX], 77u);
}

TEST(HostExec, RefusesLockAndWhatIsNotAnnouncedAtAll) {
  LoneCpu lone;
  EXPECT_EQ(lone.vector({0xF0, 0x0F, 0x58, 0x05, 0, 0x10, 0, 0}), kUD);  // LOCK ADDPS
  EXPECT_EQ(lone.vector({0x62, 0xF2, 0xFD, 0x48, 0xC8, 0xC1}), kUD);     // VEXP2PD zmm0, zmm1
  EXPECT_EQ(lone.vector({0x0F, 0x0F, 0xC1, 0x9E}), kUD);                 // PFADD
}

TEST(HostExec, ReportsUnmaskedSimdExceptionsWithTheirFlag) {
  LoneCpu lone;
  lone.cpu.fpu.mxcsr = 0x1F80 & ~0x200u;  // divide by zero unmasked
  for (unsigned i = 0; i < 16; i += 4) store<u32>(lone.cpu.fpu.zmm[0].data() + i, 0x3F800000);
  EXPECT_EQ(lone.vector(kDivps), kXM);
  EXPECT_EQ(lone.cpu.fpu.mxcsr, (0x1F80u & ~0x200u) | 4);
  EXPECT_EQ(load<u32>(lone.cpu.fpu.zmm[0].data()), 0x3F800000u) << "the destination is as it was";
  lone.cpu.sys.cr4 &= ~cr4::OSXMMEXCPT;
  EXPECT_EQ(lone.vector(kDivps), kUD);
  EXPECT_EQ(lone.vector(kAddps), kNone) << "the host's state is clean again";
}

TEST(HostExec, KeepsUpperHalvesForSseAndClearsThemForVex) {
  LoneCpu lone;
  auto& zmm = lone.cpu.fpu.zmm;
  zmm[0].fill(0x11);
  zmm[1].fill(0);
  zmm[2].fill(0);
  EXPECT_EQ(lone.vector(kAddps), kNone);
  EXPECT_EQ(zmm[0][16], 0x11);
  EXPECT_EQ(zmm[0][63], 0x11);
  EXPECT_EQ(lone.vector(kVaddps), kNone);
  EXPECT_EQ(zmm[0][16], 0);
  EXPECT_EQ(zmm[0][63], 0) << "up to the full length of the register";
}

TEST(HostExec, ReportsPendingX87ExceptionsUnlessTheyGoToTheInterruptController) {
  LoneCpu lone;
  lone.cpu.fpu.fcw = 0x37F & ~4;
  lone.cpu.fpu.fsw = 0x8084;
  EXPECT_EQ(lone.vector(kFld1), kMF);
  EXPECT_EQ(lone.vector(kPaddb), kMF);
  EXPECT_EQ(lone.vector({0xDB, 0xE4}), kNone) << "FNSETPM does not wait";
  lone.cpu.sys.cr0 &= ~cr0::NE;
  EXPECT_EQ(lone.vector(kFld1), kNone);
  EXPECT_TRUE(lone.cpu.fpu.fsw & 0x80) << "still pending";
  EXPECT_EQ(lone.cpu.fpu.fcw, 0x37F & ~4);
}

TEST(HostExec, DoesNotStoreWhatAnUnmaskedX87ExceptionPrevents) {
  LoneCpu lone;
  lone.cpu.fpu.fcw = 0x37F & ~1;  // invalid operation unmasked; the stack is empty
  store<u32>(lone.ram() + 0x1000, 0xDEADBEEF);
  EXPECT_EQ(lone.vector({0xD9, 0x1D, 0, 0x10, 0, 0}), kNone);  // FSTP dword [1000h]: reported by the next instruction
  EXPECT_EQ(load<u32>(lone.ram() + 0x1000), 0xDEADBEEF);
  EXPECT_EQ(lone.vector(kFwait), kMF);
}

TEST(HostExec, RecordsTheGuestsInstructionAndOperandPointers) {
  LoneCpu lone;
  lone.cpu.rip = 0x1234;
  EXPECT_EQ(lone.vector({0xD8, 0x05, 0, 0x20, 0, 0}), kNone);  // FADD dword [2000h]
  const auto& fpu = lone.cpu.fpu;
  EXPECT_EQ(fpu.fip, 0x1234u);
  EXPECT_EQ(fpu.fcs, 0x08);
  EXPECT_EQ(fpu.fdp, 0x2000u);
  EXPECT_EQ(fpu.fds, 0x10);
  EXPECT_EQ(fpu.fop, 0x005);
}

TEST(HostExec, ChecksAlignmentOfLegacyOperands) {
  LoneCpu lone;
  EXPECT_EQ(lone.vector({0x0F, 0x58, 0x05, 8, 0x10, 0, 0}), kGP);           // ADDPS xmm0, [1008h]
  EXPECT_EQ(lone.vector({0x0F, 0x10, 0x05, 8, 0x10, 0, 0}), kNone);         // MOVUPS
  EXPECT_EQ(lone.vector({0xC5, 0xF8, 0x58, 0x05, 8, 0x10, 0, 0}), kNone);   // VADDPS
  EXPECT_EQ(lone.vector({0xC5, 0xFC, 0x28, 0x05, 0x10, 0x10, 0, 0}), kGP);  // VMOVAPS ymm0, [1010h]
}

TEST(HostExec, FlushesWhenItsMemoryIsFull) {
  LoneCpu lone;
  auto& exec = *lone.cpu.host_exec;
  unsigned made = 0;
  // PSHUFD xmm, xmm, imm8: 8 * 8 * 256 forms.
  for (unsigned i = 0; i < 64 * 256 && !exec.wants_flush; ++i, ++made) {
    lone.cpu.rip = 0x100;
    ASSERT_EQ(lone.vector({0x66, 0x0F, 0x70, static_cast<u8>(0xC0 | i / 256), static_cast<u8>(i)}), kNone);
  }
  ASSERT_TRUE(exec.wants_flush);
  EXPECT_GT(made, 1000u);
  EXPECT_EQ(lone.cpu.rip, 0x100u) << "not executed: to be tried again";
  exec.flush();
  EXPECT_FALSE(exec.wants_flush);
  EXPECT_EQ(lone.vector(kAddps), kNone);
}

TEST(HostExec, SeesTheStackPointerUnderAnotherRegistersName) {
  LoneCpu lone;
  lone.cpu.r[RSP] = 0x0F0F;
  lone.cpu.r[RBP] = 0x00FF;
  lone.cpu.r[RBX] = 0;
  EXPECT_EQ(lone.vector({0xF3, 0x0F, 0xB8, 0xDC}), kNone);  // POPCNT ebx, esp
  EXPECT_EQ(lone.cpu.r[RBX], 8u);
  EXPECT_EQ(lone.vector({0xF3, 0x0F, 0xB8, 0xDD}), kNone);  // POPCNT ebx, ebp: the same bytes once rewritten
  EXPECT_EQ(lone.cpu.r[RBX], 8u);
  lone.cpu.r[RBP] = 1;
  EXPECT_EQ(lone.vector({0xF3, 0x0F, 0xB8, 0xDC}), kNone);
  EXPECT_EQ(lone.cpu.r[RBX], 8u);
  EXPECT_EQ(lone.vector({0xC4, 0xE2, 0x59, 0xF7, 0xE5}), kNone);  // SHLX esp, ebp, esp
  EXPECT_EQ(lone.cpu.r[RSP], u64{1} << (0x0F0F & 31));
}

TEST(HostExec, TurnsTheOperandSizePrefixRoundIn16BitCode) {
  LoneCpu lone;
  lone.enter_real_mode();
  lone.cpu.r[RCX] = 0x0001'00FF;
  lone.cpu.r[RAX] = 0xAAAA'0000;
  EXPECT_EQ(lone.vector({0xF3, 0x0F, 0xB8, 0xC1}), kNone);  // POPCNT ax, cx
  EXPECT_EQ(lone.cpu.r[RAX], 0xAAAA'0008u);
  EXPECT_EQ(lone.vector({0x66, 0xF3, 0x0F, 0xB8, 0xC1}), kNone);  // POPCNT eax, ecx
  EXPECT_EQ(lone.cpu.r[RAX], 9u);
}

TEST(Gather, KeepsWhatItDidBeforeAFault) {
  LoneCpu lone;
  lone.cpu.sys.segment[DS].limit = 0xFFFFF;
  auto& zmm = lone.cpu.fpu.zmm;
  const u32 indices[4] = {0, 4, 0x7F000000, 8};
  std::memcpy(zmm[1].data(), indices, 16);
  zmm[2].fill(0xFF);
  zmm[0].fill(0x55);
  lone.cpu.r[RAX] = 0x1000;
  store<u32>(lone.ram() + 0x1000, 1);
  store<u32>(lone.ram() + 0x1004, 2);
  EXPECT_EQ(lone.vector({0xC4, 0xE2, 0x69, 0x90, 0x04, 0x08}), kGP);  // VPGATHERDD xmm0, [eax+xmm1], xmm2
  EXPECT_EQ(load<u32>(zmm[0].data()), 1u);
  EXPECT_EQ(load<u32>(zmm[0].data() + 4), 2u);
  EXPECT_EQ(load<u32>(zmm[0].data() + 8), 0x55555555u);
  EXPECT_EQ(load<u64>(zmm[2].data()), 0u);
  EXPECT_EQ(load<u64>(zmm[2].data() + 8), ~u64{0}) << "to go on where it stopped";
}

TEST(MaskedMove, DoesNotTouchElementsThatAreNotChosen) {
  LoneCpu lone;
  lone.cpu.sys.segment[DS].limit = 0x1007;
  auto& zmm = lone.cpu.fpu.zmm;
  zmm[0].fill(0x77);
  zmm[1].fill(0);
  store<u32>(zmm[1].data() + 4, 0x80000000);
  EXPECT_EQ(lone.vector({0xC4, 0xE2, 0x71, 0x2E, 0x05, 0, 0x10, 0, 0}), kNone);  // VMASKMOVPS [1000h], xmm1, xmm0
  EXPECT_EQ(load<u64>(lone.ram() + 0x1000), 0x7777777700000000u);
  store<u32>(zmm[1].data() + 8, 0x80000000);
  EXPECT_EQ(lone.vector({0xC4, 0xE2, 0x71, 0x2E, 0x05, 0, 0x10, 0, 0}), kGP);
}

TEST(X87Environment, HasTheFormatOfTheMode) {
  LoneCpu lone;
  auto& fpu = lone.cpu.fpu;
  fpu.fcw = 0x27F, fpu.fsw = 0x3800, fpu.ftw = 0x80, fpu.fop = 0x123;
  fpu.fip = 0x5678, fpu.fcs = 0x1000, fpu.fdp = 0x9ABC, fpu.fds = 0x2000;
  store<u64>(fpu.st[0].data(), bit(63));
  store<u16>(fpu.st[0].data() + 8, 0x3FFF);
  const u8* at = lone.ram() + 0x1000;

  EXPECT_EQ(lone.vector({0xD9, 0x35, 0, 0x10, 0, 0}), kNone);  // FNSTENV [1000h], 32-bit protected
  EXPECT_EQ(load<u32>(at), 0xFFFF027Fu);
  EXPECT_EQ(load<u32>(at + 8), 0xFFFF3FFFu) << "R7 is valid, the rest empty";
  EXPECT_EQ(load<u32>(at + 12), 0x5678u);
  EXPECT_EQ(load<u32>(at + 16), 0x01231000u);
  EXPECT_EQ(load<u32>(at + 24), 0xFFFF2000u);
  EXPECT_EQ(fpu.fcw, 0x27F) << "all exceptions were masked before";

  EXPECT_EQ(lone.vector({0x66, 0xD9, 0x35, 0, 0x10, 0, 0}), kNone);  // 16-bit protected
  EXPECT_EQ(load<u16>(at + 6), 0x5678);
  EXPECT_EQ(load<u16>(at + 8), 0x1000);
  EXPECT_EQ(load<u16>(at + 12), 0x2000);

  lone.enter_real_mode();
  EXPECT_EQ(lone.vector({0xD9, 0x36, 0, 0x10}), kNone);  // 16-bit real: linear addresses
  EXPECT_EQ(load<u16>(at + 6), 0x5678);
  EXPECT_EQ(load<u16>(at + 8), 0x1123);
  EXPECT_EQ(load<u16>(at + 10), 0x9ABC);
  EXPECT_EQ(load<u16>(at + 12), 0x2000);
  EXPECT_EQ(lone.vector({0xD9, 0x26, 0, 0x10}), kNone);  // FLDENV
  EXPECT_EQ(fpu.fip, 0x15678u);
  EXPECT_EQ(fpu.fop, 0x123);
}

TEST(Xrstor, ChecksTheHeader) {
  LoneCpu lone;
  lone.cpu.r[RAX] = 7;
  const std::vector<u8> xrstor = {0x0F, 0xAE, 0x2D, 0, 0x10, 0, 0};  // XRSTOR [1000h]
  u8* header = lone.ram() + 0x1000 + 512;
  EXPECT_EQ(lone.vector(xrstor), kNone);
  header[0] = 0x80;  // not in XCR0
  EXPECT_EQ(lone.vector(xrstor), kGP);
  header[0] = 0;
  header[16] = 1;
  EXPECT_EQ(lone.vector(xrstor), kGP);
  header[16] = 0;
  store<u32>(lone.ram() + 0x1000 + 24, 0x10000);  // MXCSR
  EXPECT_EQ(lone.vector(xrstor), kGP);
  lone.cpu.r[RAX] = 1;
  EXPECT_EQ(lone.vector(xrstor), kNone) << "neither SSE nor AVX asked for";
  EXPECT_EQ(lone.vector({0x0F, 0xAE, 0x2D, 0x20, 0x10, 0, 0}), kGP) << "not aligned to 64 bytes";
}

TEST(Fxsave, LeavesTheHighRegistersAloneOutside64BitMode) {
  LoneCpu lone;
  lone.cpu.fpu.zmm[8].fill(0x99);
  std::memset(lone.ram() + 0x1000, 0xEE, 512);
  EXPECT_EQ(lone.vector({0x0F, 0xAE, 0x05, 0, 0x10, 0, 0}), kNone);
  EXPECT_EQ(lone.ram()[0x1000 + 160 + 127], 0);
  EXPECT_EQ(lone.ram()[0x1000 + 160 + 128], 0xEE);
  std::memset(lone.ram() + 0x1000 + 160, 0x44, 256);
  EXPECT_EQ(lone.vector({0x0F, 0xAE, 0x0D, 0, 0x10, 0, 0}), kNone);  // FXRSTOR
  EXPECT_EQ(lone.cpu.fpu.zmm[7][0], 0x44);
  EXPECT_EQ(lone.cpu.fpu.zmm[8][0], 0x99);
}

}  // namespace
}  // namespace vireo::cpu::interp
