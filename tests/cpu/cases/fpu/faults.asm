; #NM, #MF, #XM and #UD of the x87 and SSE units, and when they come.
%include "long64.inc"
%macro cr0_or 1
  mov rax, cr0
  or eax, %1
  mov cr0, rax
%endmacro
%macro cr0_and 1
  mov rax, cr0
  and eax, %1
  mov cr0, rax
%endmacro
main:
  ; SSE without CR4.OSFXSR
  expect_fault UD, 0, pxor xmm0, xmm0
  mov rax, cr4
  or eax, 0x200
  mov cr4, rax
  fninit
  ; TS: everything but CLTS and FNSAVE's like
  cr0_or 8
  expect_fault NM, 0, fld1
  expect_fault NM, 0, pxor xmm0, xmm0
  expect_fault NM, 0, fxsave [PLAY]
  expect_fault NM, 0, wait ; with MP
  clts
  ; EM
  cr0_or 4
  expect_fault NM, 0, fld1
  expect_fault UD, 0, pxor xmm0, xmm0
  cr0_and ~4
  ; #MF comes with the next waiting instruction, at it
  fninit
  fldcw [.unmask_zero]
  fldz
  fld1
  fdivp ; 0 / 1 is no fault
  fld1
  fldz
  fdivp ; 1 / 0: pending
  fnstsw ax
  test eax, 0x8084
  check nz
  expect_fault MF, 0, wait
  expect_fault MF, 0, fld1
  fnclex
  fld1
  ; #XM and, without OSXMMEXCPT, #UD
  ldmxcsr [.unmask_divide]
  pxor xmm1, xmm1
  mov eax, 0x3F800000
  movd xmm0, eax
  expect_fault UD, 0, divss xmm0, xmm1
  mov rax, cr4
  or eax, 0x400
  mov cr4, rax
  ldmxcsr [.unmask_divide]
  expect_fault XM, 0, divss xmm0, xmm1
  stmxcsr [PLAY]
  test dword [PLAY], 4
  check nz
  movd eax, xmm0
  check_eq eax, 0x3F800000
  expect_fault GP, 0, ldmxcsr [.bad]
  ; alignment
  expect_fault GP, 0, movaps xmm0, [PLAY + 8]
  movups xmm0, [PLAY + 8]
  expect_fault GP, 0, paddb xmm0, [PLAY + 8]
  pass
.unmask_zero: dw 0x37B
  align 4
.unmask_divide: dd 0x1D80
.bad: dd 0x10000
