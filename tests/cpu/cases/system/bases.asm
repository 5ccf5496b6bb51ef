; FS, GS and KERNEL_GS_BASE by MSR, SWAPGS, RDFSBASE and its kin; selectors and bases are two things.
; KVM without hardware behind it emulates these with fewer checks.
; kvm: hardware
%include "long64.inc"
main:
  set_msr 0xC0000100, 0x1111, 0x10
  set_msr 0xC0000101, 0, PLAY + 0x100
  set_msr 0xC0000102, 0, PLAY + 0x200
  mov dword [PLAY + 0x100], 0x100
  mov dword [PLAY + 0x200], 0x200
  check_eq dword [gs:0], 0x100
  swapgs
  check_eq dword [gs:0], 0x200
  mov ecx, 0xC0000101
  rdmsr
  check_eq eax, PLAY + 0x200
  swapgs
  ; not canonical
  mov ecx, 0xC0000100
  mov edx, 0x8000
  expect_fault GP, 0, wrmsr
  inc ecx
  expect_fault GP, 0, wrmsr
  inc ecx
  expect_fault GP, 0, wrmsr
  ; a load of a null selector clears the base on this CPU, a load of another sets it
  mov ax, KDATA
  mov gs, ax
  mov ecx, 0xC0000101
  rdmsr
  check_eq eax, 0
  ; CR4.FSGSBASE
  require_cpuid 7, ebx, 0, "FSGSBASE"
  expect_fault UD, 0, rdfsbase rax
  mov rax, cr4
  bts rax, 16
  mov cr4, rax
  rdfsbase rax
  mov rbx, 0x111100000010
  check_eq rax, rbx
  mov rax, -1
  rdfsbase eax
  check_eq rax, 0x10
  mov rax, 0xFFFFFFFF00000000 + PLAY + 0x200
  wrgsbase eax
  check_eq dword [gs:0], 0x200
  rdgsbase rbx
  check_eq rbx, PLAY + 0x200
  mov rax, 0x800000000000
  expect_fault GP, 0, wrfsbase rax
  pass
