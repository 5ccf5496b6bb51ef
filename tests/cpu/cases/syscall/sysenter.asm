; SYSENTER and SYSEXIT in protected mode, and SYSCALL and SYSRET there as AMD CPUs have them.
; KVM without hardware behind it emulates these for other vendors.
; kvm: hardware
%include "pm32.inc"
main:
  ; SYSENTER_CS null: #GP
  xor eax, eax
  xor edx, edx
  mov ecx, 0x174
  wrmsr
  expect_fault GP, 0, sysenter
  expect_fault GP, 0, sysexit
  ; the order of this GDT: 0x38 KCODE32, 0x40 becomes kernel data, 0x48 user code, 0x50 user data
  mov dword [gdt + 0x40], 0x0000FFFF
  mov dword [gdt + 0x44], 0x00CF9300
  mov dword [gdt + 0x48], 0x0000FFFF
  mov dword [gdt + 0x4C], 0x00CFFB00
  mov dword [gdt + 0x50], 0x0000FFFF
  mov dword [gdt + 0x54], 0x00CFF300
  set_msr 0x174, 0, 0x38
  set_msr 0x175, 0, STACK_TOP(0) - 0x8000
  set_msr 0x176, 0, kernel
  mov ebp, esp
  mov dword [back], .entered
  sti
  enter_user .user
.user:
  sysenter
.entered:
  check_eq esp, STACK_TOP(0) - 0x8000
  mov ax, cs
  check_eq ax, 0x38
  mov ax, ss
  check_eq ax, 0x40
  pushfd
  pop eax
  test eax, 0x200
  check z
  test eax, 0x3000 ; IOPL stays
  check nz
  mov edx, .user2
  mov ecx, 0x300000
  arm_fault .left
  mov [fault_resume_esp], ebp
  sysexit
.user2:
  mov ax, cs
  mov bx, ss
  int 0x80
.left:
  check_eq dword [fault_vector], 0x80
  check_eq ax, 0x4B
  check_eq bx, 0x53
  mov eax, [fault_esp]
  check_eq dword [eax + 20], 0x300000
  ; SYSEXIT in ring 3
  arm_fault .refused
  enter_user .exit
.exit:
  sysexit
.refused:
  check_eq dword [fault_vector], GP
  check_eq dword [fault_eip], .exit
  ; SYSCALL in legacy mode: EIP from STAR, IF cleared, ECX the return address
  expect_fault UD, 0, syscall
  set_msr 0xC0000080, 0, 1
  set_msr 0xC0000081, (0x48 << 16) | 0x38, kernel
  mov dword [back], .called
  mov edi, esp
  enter_user .user3
.user3:
  mov ebx, esp
  syscall
.user3_behind:
.called:
  check_eq ecx, .user3_behind
  check_eq esp, ebx ; not changed
  mov esp, edi
  mov ax, ss
  check_eq ax, 0x40
  mov ecx, .user4
  arm_fault .returned
  sysret
.user4:
  mov ax, cs
  mov bx, ss
  int 0x80
.returned:
  check_eq dword [fault_vector], 0x80
  check_eq ax, 0x4B
  check_eq bx, 0x53
  test dword [fault_eflags], 0x200
  check nz
  pass
kernel:
  mov eax, UDATA | 3 ; ring 0's DS did not survive the way to ring 3
  mov ds, eax
  jmp [back]
back: dd 0
