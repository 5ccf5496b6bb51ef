; AVX-512 state: the rules of XCR0, CPUID's sizes and places, what XSAVE, XSAVEC and XRSTOR make of it, and what the
; instructions need and clear.
%include "long64.inc"
%define AREA PLAY
%define AVX512 0xE7
main:
  require_cpuid 1, ecx, 26, "XSAVE"
  require_cpuid 7, ebx, 16, "AVX512F"
  require_cpuid 7, ebx, 30, "AVX512BW"
  mov rax, cr4
  or eax, 0x600 | 1 << 18
  mov cr4, rax
  ; XCR0: its three bits go together, and stand on AVX
  xor ecx, ecx
  xor edx, edx
%assign part 0x20
%rep 6
  mov eax, 7 | part
  expect_fault GP, 0, xsetbv
  %assign part part + 0x20
%endrep
  mov eax, 3 | 0xE0
  expect_fault GP, 0, xsetbv
  mov eax, 1 | 0xE0
  expect_fault GP, 0, xsetbv
  mov eax, AVX512 | 8 ; MPX, which nobody has
  expect_fault GP, 0, xsetbv
  mov eax, 7
  xsetbv
  expect_fault UD, 0, vpxord zmm0, zmm0, zmm0
  expect_fault UD, 0, vpxord xmm0, xmm0, xmm0
  expect_fault UD, 0, kmovw k1, ecx
  vpxor ymm0, ymm0, ymm0
  xor ecx, ecx
  xor edx, edx
  mov eax, AVX512
  xsetbv
  xgetbv
  check_eq eax, AVX512
  ; CPUID 0xD
  mov eax, 0xD
  mov ecx, 5
  cpuid
  check_eq eax, 0x40
  mov r13d, ebx
  mov eax, 0xD
  mov ecx, 6
  cpuid
  check_eq eax, 0x200
  mov r14d, ebx
  mov eax, 0xD
  mov ecx, 7
  cpuid
  check_eq eax, 0x400
  mov r15d, ebx
  lea r12d, [rbx + 0x400]
  mov eax, 0xD
  xor ecx, ecx
  cpuid
  check_eq ebx, r12d
  check_eq ecx, r12d
  ; TS
  mov rax, cr0
  or eax, 8
  mov cr0, rax
  expect_fault NM, 0, vpxord zmm0, zmm0, zmm0
  expect_fault NM, 0, kmovw k1, ecx
  clts
  ; save, in the standard format
  mov rbx, 0x0123456789ABCDEF
  kmovq k3, rbx
  not rbx
  vpbroadcastq zmm5, rbx
  vpbroadcastq zmm21, rbx
  not rbx
  lea rdi, [AREA]
  mov eax, AVX512
  xor edx, edx
  xsave [rdi]
  check_eq qword [rdi + 520], 0
  mov rax, [rdi + 512]
  and eax, 0xE4
  check_eq eax, 0xE4
  check_eq rbx, [rdi + r13 + 3 * 8]
  not rbx
  check_eq rbx, [rdi + 160 + 5 * 16]
  check_eq rbx, [rdi + 576 + 5 * 16 + 8]
  check_eq rbx, [rdi + r14 + 5 * 32]
  check_eq rbx, [rdi + r14 + 5 * 32 + 24]
  check_eq rbx, [rdi + r15 + 5 * 64]
  check_eq rbx, [rdi + r15 + 5 * 64 + 56]
  ; change and restore
  kxorq k3, k3, k3
  vpxord zmm5, zmm5, zmm5
  vpxord zmm21, zmm21, zmm21
  mov eax, AVX512
  xor edx, edx
  xrstor [rdi]
  kmovq rax, k3
  not rax
  check_eq rax, rbx
  vextracti64x2 xmm0, zmm5, 3
  vmovq rax, xmm0
  check_eq rax, rbx
  vextracti64x2 xmm0, zmm21, 3
  vmovq rax, xmm0
  check_eq rax, rbx
  ; a component that XSTATE_BV lacks is initialised; one that is not asked for stays
  and qword [rdi + 512], ~0x80
  mov eax, AVX512 & ~0x20
  kxorq k3, k3, k3
  xrstor [rdi]
  vptestnmq k1, zmm21, zmm21
  kmovb eax, k1
  check_eq eax, 0xFF
  kmovq rax, k3
  check_eq rax, 0
  ; compacted, and only what is in use: k, ZMM_Hi256, nothing of Hi16_ZMM
  mov rax, 0x5555
  kmovq k7, rax
  mov eax, 0x1000
clear:
  mov qword [rdi + rax - 8], 0
  sub eax, 8
  jnz clear
  mov eax, 0xE0
  xor edx, edx
  xsavec [rdi]
  mov rax, 0x80000000000000E0
  check_eq rax, [rdi + 520]
  check_eq qword [rdi + 512], 0x60
  check_eq qword [rdi + 576 + 7 * 8], 0x5555
  check_eq rbx, [rdi + 640 + 5 * 32]
  kxorq k7, k7, k7
  vpternlogd zmm30, zmm30, zmm30, 0xFF
  mov eax, 0xE0
  xrstor [rdi]
  kmovq rax, k7
  check_eq rax, 0x5555
  vptestnmq k1, zmm30, zmm30
  kmovb eax, k1
  check_eq eax, 0xFF
  ; VEX instructions clear up to bit 511; VZEROUPPER the low 16 registers
  vpternlogd zmm4, zmm4, zmm4, 0xFF
  vpternlogd zmm20, zmm20, zmm20, 0xFF
  vpxor xmm5, xmm5, xmm5
  vextracti64x2 xmm0, zmm5, 3
  vmovq rax, xmm0
  check_eq rax, 0
  vzeroupper
  vextracti64x2 xmm0, zmm4, 1
  vmovq rax, xmm0
  check_eq rax, 0
  vmovq rax, xmm4
  check_eq rax, -1
  vextracti64x2 xmm0, zmm20, 3
  vmovq rax, xmm0
  check_eq rax, -1
  ; a masked store across a page that is not there touches what is chosen alone
  and qword [PLAY_PT + 8], ~1
  invlpg [AREA + 0x1000]
  vpternlogd zmm1, zmm1, zmm1, 0xFF
  mov eax, 3
  kmovq k1, rax
  mov qword [AREA + 0xFF0], 0
  mov qword [AREA + 0xFF8], 0
  vmovdqu64 [AREA + 0xFF0]{k1}, zmm1
  check_eq qword [AREA + 0xFF0], -1
  check_eq qword [AREA + 0xFF8], -1
  mov eax, 5
  kmovq k1, rax
  mov qword [AREA + 0xFF0], 0
  expect_fault PF, 2, vmovdqu64 [AREA + 0xFF0]{k1}, zmm1
  check_eq qword [AREA + 0xFF0], 0
  mov rax, cr2
  check_eq rax, AREA + 0x1000
  pass
