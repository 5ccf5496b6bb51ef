; XSAVE and XRSTOR: CPUID's sizes, XCR0, what is saved, what is initialised, and the faults of a bad header.
%include "long64.inc"
%define AREA PLAY
main:
  require_cpuid 1, ecx, 26, "XSAVE"
  mov rax, cr4
  or eax, 0x600 | 1 << 18
  mov cr4, rax
  require_cpuid 1, ecx, 27, "OSXSAVE after CR4.OSXSAVE"
  xor ecx, ecx
  xgetbv
  check_eq eax, 1
  ; XCR0: x87 cannot be off, AVX needs SSE
  xor eax, eax
  xor edx, edx
  expect_fault GP, 0, xsetbv
  mov eax, 5
  expect_fault GP, 0, xsetbv
  mov eax, 3
  xor ecx, ecx
  xsetbv
  mov eax, 0xD
  xor ecx, ecx
  cpuid
  check_eq ebx, 576
  ; save, change, restore
  fninit
  fld1
  mov rbx, 0x0123456789ABCDEF
  movq xmm3, rbx
  mov eax, 3
  xor edx, edx
  xsave [AREA]
  check_eq qword [AREA + 512], 3
  check_eq qword [AREA + 520], 0
  check_eq rbx, [AREA + 160 + 3 * 16]
  check_eq word [AREA], 0x37F
  check_eq byte [AREA + 4], 0x80 ; one register in use
  fstp st0
  pxor xmm3, xmm3
  mov eax, 3
  xor edx, edx
  xrstor [AREA]
  movq rcx, xmm3
  check_eq rcx, rbx
  fld1
  fcomip st1
  check e
  ; a component that XSTATE_BV lacks is initialised; one that is not asked for stays
  and qword [AREA + 512], ~2
  mov eax, 3
  xrstor [AREA]
  movq rcx, xmm3
  check_eq rcx, 0
  movq xmm3, rbx
  mov eax, 1
  xrstor [AREA]
  movq rcx, xmm3
  check_eq rcx, rbx
  ; faults: reserved header bits, an unaligned area, XCOMP_BV
  mov eax, 3
  mov qword [AREA + 512], 3 | 4
  expect_fault GP, 0, xrstor [AREA]
  mov qword [AREA + 512], 3
  mov qword [AREA + 528], 1
  expect_fault GP, 0, xrstor [AREA]
  mov qword [AREA + 528], 0
  expect_fault GP, 0, xrstor [AREA + 16]
  expect_fault GP, 0, xsave [AREA + 16]
  mov dword [AREA + 24], 0xFFFF0000 ; MXCSR
  expect_fault GP, 0, xrstor [AREA]
  mov dword [AREA + 24], 0x1F80
  ; CR0.TS
  mov rax, cr0
  or eax, 8
  mov cr0, rax
  mov eax, 3
  expect_fault NM, 0, xsave [AREA]
  clts
  ; OSXSAVE off
  mov rax, cr4
  btr eax, 18
  mov cr4, rax
  mov eax, 3
  expect_fault UD, 0, xsave [AREA]
  xor ecx, ecx
  expect_fault UD, 0, xgetbv
  ; AVX
  mov rax, cr4
  bts eax, 18
  mov cr4, rax
  require_cpuid 1, ecx, 28, "AVX"
  expect_fault UD, 0, vpxor ymm0, ymm0, ymm0
  xor ecx, ecx
  xor edx, edx
  mov eax, 7
  xsetbv
  mov eax, 0xD
  cpuid
  check_eq ebx, 832
  vpcmpeqb xmm1, xmm1, xmm1
  vinsertf128 ymm2, ymm1, xmm1, 1
  mov eax, 7
  xor edx, edx
  xsave [AREA]
  check_eq qword [AREA + 576 + 2 * 16], -1
  check_eq qword [AREA + 576 + 1 * 16], 0
  vzeroall
  mov eax, 7
  xrstor [AREA]
  vextractf128 xmm4, ymm2, 1
  movq rcx, xmm4
  check_eq rcx, -1
  ; an SSE instruction keeps the upper half, a VEX one clears it
  pxor xmm2, xmm2
  vextractf128 xmm4, ymm2, 1
  movq rcx, xmm4
  check_eq rcx, -1
  vpxor xmm2, xmm2, xmm2
  vextractf128 xmm4, ymm2, 1
  movq rcx, xmm4
  check_eq rcx, 0
  pass
