; MSRs: what exists, what is refused, TSC and TSC_ADJUST.
; engines: interpret
; The list is that of this product's CPU model; KVM adds its own.
%include "long64.inc"
%macro msr_is 3 ; number, high, low
  mov ecx, %1
  rdmsr
  check_eq edx, %2
  check_eq eax, %3
%endmacro
%macro keeps 3
  set_msr %1, %2, %3
  msr_is %1, %2, %3
%endmacro
%macro refuses 3
  mov ecx, %1
  mov edx, %2
  mov eax, %3
  expect_fault GP, 0, wrmsr
%endmacro
main:
  msr_is 0x277, 0x00070406, 0x00070406 ; PAT
  keeps 0x277, 0x01050406, 0x00070406
  refuses 0x277, 0, 2
  refuses 0x277, 0x08000000, 0
  msr_is 0xFE, 0, 0x508 ; MTRR
  refuses 0xFE, 0, 0x508
  keeps 0x2FF, 0, 0xC06
  refuses 0x2FF, 0, 0x2
  refuses 0x2FF, 0, 0x1000
  keeps 0x200, 0, 0x80000006
  refuses 0x200, 0, 0x80000002
  refuses 0x200, 0x100, 0
  keeps 0x20F, 0xFF, 0xFFFFF800
  refuses 0x20F, 0, 0x400
  keeps 0x250, 0x06060606, 0x06060606
  keeps 0x268, 0x05050505, 0
  refuses 0x26F, 0x07000000, 0
  mov ecx, 0x210
  expect_fault GP, 0, rdmsr
  keeps 0x174, 0, 0x38
  keeps 0x175, 0x1234, 0x56789ABC
  keeps 0xC0000081, 0x00180008, 0x12345678
  keeps 0xC0000082, 0x7FFF, 0xFFFFFFFF
  refuses 0xC0000082, 0x8000, 0
  keeps 0xC0000103, 0, 0x77
  rdtscp
  check_eq ecx, 0x77
  msr_is 0x179, 0, 0
  msr_is 0xC0010015, 0, 1 << 24
  ; neither announced nor there
  mov ecx, 0x10A
  expect_fault GP, 0, rdmsr
  mov ecx, 0x48
  expect_fault GP, 0, rdmsr
  refuses 0x49, 0, 1
  mov ecx, 0x12345678
  expect_fault GP, 0, rdmsr
  expect_fault GP, 0, wrmsr
  ; TSC and TSC_ADJUST move together
  msr_is 0x3B, 0, 0
  set_msr 0x10, 0x1000, 0
  rdtsc
  check_eq edx, 0x1000
  mov ecx, 0x3B
  rdmsr
  check_eq edx, 0xFFF
  set_msr 0x3B, 0, 0
  rdtsc
  cmp edx, 0x1000
  check b
  ; CR4.TSD
  allow_user
  mov rax, cr4
  or eax, 4
  mov cr4, rax
  rdtsc
%macro user_gp 1+
  arm_fault %%back
  enter_user %%user
%%user:
  %1
  int 0x80
%%back:
  check_eq dword [fault_vector], GP
  check_eq qword [fault_rip], %%user
%endmacro
  user_gp rdtsc
  user_gp rdtscp
  user_gp rdpmc
  pass
