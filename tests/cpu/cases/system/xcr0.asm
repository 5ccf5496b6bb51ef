; XGETBV, XSETBV and CPUID leaf 0Dh: XCR0's rules, and the sizes that follow it.
; KVM without hardware behind it emulates these with fewer checks.
; kvm: hardware
%include "long64.inc"
main:
  require_cpuid 1, ecx, 26, "XSAVE"
  xor ecx, ecx
  expect_fault UD, 0, xgetbv
  mov eax, 1
  cpuid
  bt ecx, 27
  check nc
  mov rax, cr4
  or eax, (1 << 18) | (1 << 9)
  mov cr4, rax
  mov eax, 1
  cpuid
  bt ecx, 27
  check c
  xor ecx, ecx
  xgetbv
  check_eq eax, 1
  check_eq edx, 0
  mov eax, 0xD
  xor ecx, ecx
  cpuid
  check_eq ebx, 576
  mov esi, eax ; what may be set
  bt esi, 2
  check c
  xor ecx, ecx
  xor edx, edx
  xor eax, eax
  expect_fault GP, 0, xsetbv ; x87 must stay
  mov eax, 5
  expect_fault GP, 0, xsetbv ; AVX without SSE
  mov eax, 3 | (1 << 30)
  expect_fault GP, 0, xsetbv
  mov eax, 3
  mov ecx, 1
  expect_fault GP, 0, xsetbv
  xor ecx, ecx
  mov eax, 7
  xsetbv
  xgetbv
  check_eq eax, 7
  mov eax, 0xD
  xor ecx, ecx
  cpuid
  check_eq ebx, 576 + 256
  mov eax, 0xD
  mov ecx, 2
  cpuid
  check_eq eax, 256
  check_eq ebx, 576
  mov ecx, 2
  expect_fault GP, 0, xgetbv
  allow_user
  arm_fault .user_done
  enter_user .user
.user:
  xor ecx, ecx
  xgetbv
  mov ebx, eax
.at:
  xsetbv
.user_done:
  check_eq ebx, 7
  check_eq dword [fault_vector], GP
  check_eq qword [fault_rip], .at
  pass
