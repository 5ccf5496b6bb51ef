; Instructions that MXCSR rules though they name no vector register: conversions from memory to a general register.
%include "long64.inc"
%macro converts 3 ; instruction, operand, value expected with rounding down
  ldmxcsr [down]
  mov eax, 77
  %1 eax, %2
  check_eq eax, %3
  stmxcsr [now]
  check_eq dword [now], 0x3FA0 ; inexact
%endmacro
main:
  mov rax, cr4
  or eax, 0x600 ; OSFXSR OSXMMEXCPT
  mov cr4, rax
  mov ebx, 3
.again:
  converts cvtsd2si, {qword [double]}, -2
  converts cvtss2si, {dword [single]}, -2
  converts cvttsd2si, {qword [double]}, -1
  converts cvttss2si, {dword [single]}, -1
  dec ebx
  jnz .again
  mov dword [now], 0x1F00 ; invalid operations and denormals unmasked
  ldmxcsr [now]
  expect_fault XM, 0, cvttsd2si eax, qword [huge]
  ldmxcsr [usual]
  pass
  align 8
double: dq -1.5
huge: dq 1e30
single: dd -1.5
down: dd 0x3F80
usual: dd 0x1F80
now: dd 0
